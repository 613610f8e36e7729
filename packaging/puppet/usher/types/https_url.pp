# @summary An HTTPS URL.
type Usher::Https_url = Pattern[/\Ahttps:\/\/[^\s\/@]+(\/\S*)?\z/]
