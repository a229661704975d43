"""Operations by subject: generators that yield statements; see `dibs.store.statement`."""
