# frozen_string_literal: true

require 'json'

# @summary A string between double quotes, escaped so that TOML, JSON and JavaScript read it alike.
Puppet::Functions.create_function(:'usher::quote') do
  # @param text The string.
  # @return [String] The string with its quotes.
  # @example
  #   usher::quote('a "b"') # => "a \"b\""
  dispatch :quote do
    param 'String', :text
    return_type 'String'
  end

  def quote(text)
    # JSON leaves U+007F as it is, which TOML forbids; the other two are line ends to old JavaScript engines.
    JSON.generate(text.encode(Encoding::UTF_8)).gsub(/[\u007f\u2028\u2029]/) { |letter| format('\\u%04x', letter.ord) }
  end
end
