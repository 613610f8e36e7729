# @summary An entry of the allow-list as agent.toml has it.
# @api private
# @param caller A name, or a name with its limits.
# @return [Variant[String, Hash]] The same, with its end as a time.
function usher::grant(Variant[Usher::Operator, Usher::Viewer] $caller) >> Variant[String, Hash] {
  if $caller =~ Hash and 'until' in $caller {
    $caller + { 'until' => Timestamp($caller['until']) }
  } else {
    $caller
  }
}
