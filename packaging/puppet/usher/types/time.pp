# @summary A time: a Timestamp, or text like `2026-12-31T00:00:00Z`. Hiera needs the quotes.
type Usher::Time = Variant[Timestamp, Pattern[/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/]]
