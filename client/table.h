#pragma once

#include <string>
#include <vector>

#include "client/paint.h"

namespace hutch::client {

struct Cell {
    Cell(std::string words) : text(std::move(words)) {}  // NOLINT(google-explicit-constructor)
    Cell(std::string words, Tone shade) : text(std::move(words)), tone(shade) {}
    std::string text;
    Tone tone = Tone::kPlain;
};

/// Rows in columns just as wide as their widest cell, two spaces apart, nothing after the last. Control characters
/// are replaced (see printable).
class Table {
  public:
    explicit Table(std::vector<std::string> headers);
    /// One cell per header.
    void add(std::vector<Cell> row);
    [[nodiscard]] std::string text(Colour colour) const;

  private:
    std::vector<std::vector<Cell>> rows_;  ///< the first is the header
};

/// `key  value` lines, keys padded to the longest and dimmed: one object, for reading. A value of several lines is
/// indented to its column; a row without a value is left out.
std::string key_values(const std::vector<std::pair<std::string, Cell>>& rows, Colour colour);

}  // namespace hutch::client
