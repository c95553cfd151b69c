#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hutch::client {

/// How a streaming answer ended, from its last bytes: `event: NAME\ndata: JSON\n\n`.
struct Event {
    std::string name;  ///< exit | error | image
    std::string data;  ///< one line of JSON
};

/// Parts a streaming answer (raw output, then one final event, no mark between) as it arrives. What a command prints
/// may look like the event, so an event counts only if it is the very end of a body that ended well.
///
///     take(piece) -> output, take(piece) -> output, ... finish() -> output that was no event after all, or the event
class EventTail {
  public:
    /// The bytes now known to be output; holds back only what may still turn out to be the final event.
    std::string take(std::string_view piece);

    struct Ending {
        std::string output;
        std::optional<Event> event;
    };
    /// Call once, when the body has ended well.
    Ending finish();
    /// What is held, as output: for a body that broke off.
    std::string abandon();

  private:
    bool accept(char c);
    void step(char c, std::string& output);

    std::string held_;
    size_t lead_ = 0;        ///< length of the whole "event: NAME\ndata: {" at the start of held_, 0 before that
    unsigned newlines_ = 0;  ///< seen after the lead; two make the event whole
};

}  // namespace hutch::client
