# @summary Where a PEM file comes from.
#
# - `path`: something else writes the file there and renews it, cfssl for example. The module only names it.
# - `source`: as of a file resource: `puppet:///...`, or a path on the machine itself, which is copied in each run.
# - `content`: its text. That of a key should be Sensitive.
type Usher::Pem = Variant[
  Struct[{ path => Usher::Path }],
  Struct[{ source => Variant[Usher::Path, Pattern[/\Apuppet:\/\/\/.+\z/]] }],
  Struct[{ content => Variant[String[1], Sensitive[String[1]]] }],
]
