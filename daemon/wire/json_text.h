#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/wire/json.h"

namespace hutch::daemon {

/// JSON as text, written piece by piece: a value of any size takes one piece of memory besides itself, and no turn of
/// the event loop takes longer than a piece does. What is not UTF-8 becomes U+FFFD.
class JsonText {
  public:
    static constexpr size_t kPiece = 32 * 1024;

    explicit JsonText(Json value);
    JsonText(const JsonText&) = delete;
    JsonText& operator=(const JsonText&) = delete;

    /// The next piece, of at least so many bytes unless it is the last; empty at the end.
    std::string next(size_t least = kPiece);
    [[nodiscard]] bool done() const { return places_.empty(); }

  private:
    /// A value that is being written, and how far it has come.
    struct Place {
        const Json* value;
        Json::const_iterator at;  ///< of an array or an object: what comes next
        size_t offset = 0;        ///< of a string
        bool begun = false;
    };
    void enter(const Json& value);
    void step(std::string& piece);
    void write_string(Place& place, std::string& piece);
    void write_member(Place& place, std::string& piece);

    Json value_;
    std::vector<Place> places_;
};

/// Adds `text` as it stands between the quotes of a JSON string.
void escape_json(std::string_view text, std::string& into);

}  // namespace hutch::daemon
