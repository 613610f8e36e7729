# frozen_string_literal: true

# @summary A hash as a TOML document.
#
# Keys keep their order, except that the plain keys of a table come before its tables, as TOML needs. Keys whose value is undef
# are left out. Hashes within arrays become inline tables.
Puppet::Functions.create_function(:'usher::toml') do
  # @param document The keys of the document's top level.
  # @return [String] The document, with a line end after its last line.
  # @example
  #   usher::toml({ 'tls' => { 'key' => '/etc/usher/agent-key.pem' } })
  dispatch :toml do
    param 'Hash[String[1], Any]', :document
    return_type 'String'
  end

  def toml(document)
    lines = []
    write_table(document, [], lines)
    lines.empty? ? '' : "#{lines.join("\n")}\n"
  end

  def write_table(table, path, lines)
    tables, plain = table.reject { |_, value| value.nil? }.partition { |_, value| value.is_a?(Hash) }
    # A table without plain keys needs no line of its own if tables within it name it.
    unless path.empty? || (plain.empty? && !tables.empty?)
      lines << '' unless lines.empty?
      lines << "[#{path.map { |name| key(name) }.join('.')}]"
    end
    plain.each { |name, value| lines << "#{key(name)} = #{write(value, path + [name])}" }
    tables.each { |name, value| write_table(value, path + [name], lines) }
  end

  def write(value, path)
    case value
    when String then call_function('usher::quote', value)
    when Integer, Float, true, false then value.to_s
    when Puppet::Pops::Time::Timestamp then value.format('%Y-%m-%dT%H:%M:%SZ')
    when Array then "[#{value.map { |item| write(item, path) }.join(', ')}]"
    when Hash
      entries = value.reject { |_, item| item.nil? }.map { |name, item| "#{key(name)} = #{write(item, path + [name])}" }
      entries.empty? ? '{}' : "{ #{entries.join(', ')} }"
    else
      raise Puppet::Error, "usher::toml: #{path.join('.')}: TOML has no value like a #{value.class.name}"
    end
  end

  def key(name)
    name.match?(/\A[A-Za-z0-9_-]+\z/) ? name : call_function('usher::quote', name)
  end
end
