#pragma once

#include <CLI/CLI.hpp>
#include <memory>

namespace hutch::client {

/// Help without the parser's jargon: no "TEXT", no "REQUIRED"; what may be left out stands in brackets.
std::shared_ptr<CLI::FormatterBase> make_help_formatter();

}  // namespace hutch::client
