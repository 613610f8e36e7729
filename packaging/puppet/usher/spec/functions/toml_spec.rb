# frozen_string_literal: true

require 'spec_helper'

describe 'usher::toml' do
  it 'writes plain keys before tables, whatever their order' do
    is_expected.to run.with_params({ 'b' => { 'c' => { 'd' => 1 }, 'e' => true }, 'a' => 'x', 'f' => 1.5 }).and_return(<<~TOML)
      a = "x"
      f = 1.5

      [b]
      e = true

      [b.c]
      d = 1
    TOML
  end

  it 'leaves out what has no value, and keeps an empty table' do
    is_expected.to run.with_params({ 'a' => nil, 'b' => {} }).and_return("[b]\n")
    is_expected.to run.with_params({}).and_return('')
  end

  it 'quotes keys that need it, and needs no line for a table of tables' do
    is_expected.to run.with_params({ 'units' => { 'a b.service' => { 'job_timeout' => '2m' } } })
                      .and_return("[units.\"a b.service\"]\njob_timeout = \"2m\"\n")
  end

  it 'writes lists, and tables within lists' do
    is_expected.to run.with_params({ 'a' => [1, 'b', { 'c' => ['d'], 'e' => nil }, {}] })
                      .and_return("a = [1, \"b\", { c = [\"d\"] }, {}]\n")
  end

  it 'escapes what would end a string or begin another line' do
    is_expected.to run.with_params({ 'a' => "\"\\\n\t\u0001\u007fé#\{x}" })
                      .and_return("a = \"\\\"\\\\\\n\\t\\u0001\\u007fé#\{x}\"\n")
  end

  it 'refuses what TOML does not have, and says where' do
    is_expected.to run.with_params({ 'a' => { 'b' => sensitive('x') } }).and_raise_error(/a\.b: TOML has no value like/)
  end
end
