# @summary An absolute path.
type Usher::Path = Pattern[/\A\/([^\n\/\0]+\/?)*\z/]
