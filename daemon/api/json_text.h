#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/memory_budget.h"

namespace hutch::daemon {

/// JSON as text, written piece by piece: a value of any size takes one piece of memory besides itself, and no turn of
/// the event loop takes longer than a piece does. What is not UTF-8 becomes U+FFFD.
class JsonText {
  public:
    static constexpr size_t kPiece = 32 * 1024;

    explicit JsonText(nlohmann::json value);
    JsonText(const JsonText&) = delete;
    JsonText& operator=(const JsonText&) = delete;

    /// The next piece, of at least so many bytes unless it is the last; empty at the end.
    std::string next(size_t least = kPiece);
    [[nodiscard]] bool done() const { return places_.empty(); }

  private:
    /// A value that is being written, and how far it has come.
    struct Place {
        const nlohmann::json* value;
        nlohmann::json::const_iterator at;  ///< of an array or an object: what comes next
        size_t offset = 0;                  ///< of a string
        bool begun = false;
    };
    void enter(const nlohmann::json& value);
    void step(std::string& piece);
    void write_string(Place& place, std::string& piece);
    void write_member(Place& place, std::string& piece);

    nlohmann::json value_;
    std::vector<Place> places_;
};

/// An object of one list, written row by row: its text, which counts in `memory`, is all that is held of it.
class JsonRows {
  public:
    static constexpr size_t kMost = 64 << 20;  ///< bytes of text

    JsonRows(const std::string& name, MemoryShare& memory) : text_("{\"" + name + "\":["), memory_(memory) {}

    /// kTooLarge beyond kMost.
    Result<void> add(nlohmann::json row);
    std::string finish() { return std::move(text_) + "]}"; }

  private:
    std::string text_;
    MemoryShare& memory_;
    bool first_ = true;
};

/// Adds `text` as it stands between the quotes of a JSON string.
void escape_json(std::string_view text, std::string& into);

}  // namespace hutch::daemon
