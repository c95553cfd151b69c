#include "client/event_tail.h"

#include <array>
#include <utility>

namespace hutch::client {
namespace {

constexpr std::array<std::string_view, 3> kLeads = {
    "event: exit\ndata: {",
    "event: error\ndata: {",
    "event: image\ndata: {",
};
// A box that prints a lead and no line break must not make us hold its output without end.
constexpr size_t kMaxHeld = size_t{1} << 20;

}  // namespace

std::string EventTail::take(std::string_view piece) {
    std::string output;
    output.reserve(held_.size() + piece.size());
    while (!piece.empty()) {
        if (held_.empty()) {  // the usual case, in bulk
            const size_t start = std::min(piece.find('e'), piece.size());
            output.append(piece.substr(0, start));
            piece.remove_prefix(start);
            if (piece.empty()) break;
        }
        step(piece.front(), output);
        piece.remove_prefix(1);
    }
    return output;
}

/// Whether held_ + c may still be the beginning of the final event; if so c is held.
bool EventTail::accept(char c) {
    if (lead_ != 0) {
        if (newlines_ == 2 || held_.size() >= kMaxHeld || (newlines_ == 1 && c != '\n')) return false;
        held_ += c;
        if (c == '\n') ++newlines_;
        return true;
    }
    held_ += c;
    for (const std::string_view lead : kLeads) {
        if (lead == held_) lead_ = lead.size();
        if (lead.starts_with(held_)) return true;
    }
    held_.pop_back();
    return false;
}

/// On a mismatch the first held byte is output for certain; an event may begin at any byte after it, so these are
/// taken again. Only text up to a lead's end can nest, hence the recursion is at most one lead deep.
void EventTail::step(char c, std::string& output) {
    if (accept(c)) return;
    lead_ = 0;
    newlines_ = 0;
    std::string again = std::exchange(held_, {});
    if (again.empty()) {
        output += c;
        return;
    }
    again += c;
    output += again.front();
    for (const char next : std::string_view(again).substr(1)) step(next, output);
}

EventTail::Ending EventTail::finish() {
    if (newlines_ != 2) return {abandon(), std::nullopt};
    constexpr std::string_view kEvent = "event: ";
    const std::string whole = std::exchange(held_, {});
    const size_t line = whole.find('\n');
    const size_t data = lead_ - 1;
    return {{}, Event{whole.substr(kEvent.size(), line - kEvent.size()), whole.substr(data, whole.size() - data - 2)}};
}

std::string EventTail::abandon() {
    return std::exchange(held_, {});
}

}  // namespace hutch::client
