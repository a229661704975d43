"""`dibs bench`: what the queue costs, against the limit of the same SQL in the same run.

```
command ──> run ──> enqueueing   one by one, in bulk
             │       draining     1 and 2 worker processes; their CPU and memory
             │       latency      pick-up on an idle queue; a web request beside busy workers
             │          │
             │          ├──> bed        one database: dibs' own face and the bare driver's
             │          └──> processes  starts workers and bare loops, which run `child`
             └──> report ──> show
```

Nothing else imports this package.
"""
