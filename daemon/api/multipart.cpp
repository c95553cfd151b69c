#include "daemon/api/multipart.h"

#include <algorithm>

#include "daemon/text.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMaxHeaders = 8192;

// name="value" or name=value within a header; quotes may hold escaped quotes (RFC 7578 leaves the rest alone).
std::optional<std::string> parameter(const std::string& header, const std::string& name) {
    for (size_t at = header.find(';'); at != std::string::npos; at = header.find(';', at + 1)) {
        const size_t begin = header.find_first_not_of(" \t", at + 1);
        if (begin == std::string::npos || lower(header.substr(begin, name.size() + 1)) != name + "=") continue;
        size_t value = begin + name.size() + 1;
        if (value >= header.size() || header[value] != '"') {
            return header.substr(value, header.find_first_of("; \t\r\n", value) - value);
        }
        std::string text;
        for (++value; value < header.size() && header[value] != '"'; ++value) {
            if (header[value] == '\\' && value + 1 < header.size() && header[value + 1] == '"') ++value;
            text += header[value];
        }
        return text;
    }
    return std::nullopt;
}

}  // namespace

Result<Multipart> Multipart::open(const std::string& content_type) {
    const auto boundary = parameter(content_type, "boundary");
    if (lower(content_type).rfind("multipart/form-data", 0) != 0 || !boundary || boundary->empty() ||
        boundary->size() > 70) {
        return invalid("Content-Type: must be multipart/form-data with a boundary");
    }
    return Multipart(*boundary);
}

Result<std::vector<Multipart::Event>> Multipart::feed(std::string_view piece) {
    pending_ += piece;
    std::vector<Event> events;
    while (TRY(step(events))) {
    }
    return events;
}

// One step forward; false when more input is needed.
Result<bool> Multipart::step(std::vector<Event>& events) {
    switch (state_) {
        case State::kPreamble:
            return take_data(nullptr);
        case State::kData:
            return take_data(&events);
        case State::kAfterBoundary:
            if (pending_.size() < 2) return false;
            if (pending_.compare(0, 2, "--") == 0) {
                state_ = State::kDone;
            } else if (pending_.compare(0, 2, "\r\n") == 0) {
                pending_.erase(0, 2);
                state_ = State::kHeaders;
            } else {
                return invalid("body: a multipart boundary is followed by neither a line break nor \"--\"");
            }
            return true;
        case State::kHeaders:
            return take_headers(events);
        case State::kDone:
            pending_.clear();
            return false;
    }
    return false;
}

// Everything before the next boundary is data (or, with no `events`, the preamble). The last bytes stay while they
// may be the beginning of a boundary.
bool Multipart::take_data(std::vector<Event>* events) {
    const size_t found = pending_.find(boundary_);
    const size_t sure = found != std::string::npos           ? found
                        : pending_.size() < boundary_.size() ? 0
                                                             : pending_.size() - boundary_.size() + 1;
    if (sure > 0 && events != nullptr) events->push_back({Event::Kind::kData, {}, {}, pending_.substr(0, sure)});
    if (found == std::string::npos) {
        pending_.erase(0, sure);
        return false;
    }
    pending_.erase(0, found + boundary_.size());
    if (events != nullptr) events->push_back({Event::Kind::kPartEnd, {}, {}, {}});
    state_ = State::kAfterBoundary;
    return true;
}

Result<bool> Multipart::take_headers(std::vector<Event>& events) {
    const size_t end = pending_.find("\r\n\r\n");
    if (end == std::string::npos && pending_.size() > kMaxHeaders) {
        return Error{ErrorKind::kTooLarge, 0, "body: the headers of a part are larger than 8192 bytes"};
    }
    if (end == std::string::npos) return false;
    Event part{Event::Kind::kPart, {}, {}, {}};
    bool named = false;
    for (size_t line = 0; line < end;) {
        const size_t line_end = std::min(pending_.find("\r\n", line), end);
        const std::string header = pending_.substr(line, line_end - line);
        if (lower(header).rfind("content-disposition:", 0) == 0) {
            const auto name = parameter(header, "name");
            named = name.has_value();
            part.name = name.value_or("");
            part.filename = parameter(header, "filename");
        }
        line = line_end + 2;
    }
    if (!named) return invalid("body: a part has no Content-Disposition with a name");
    // A part without a body: its boundary follows at once, and must be whole to be known.
    if (pending_.size() < end + 2 + boundary_.size()) return false;
    events.push_back(std::move(part));
    pending_.erase(0, end + 2);  // the line break stays: an empty part's boundary begins with it
    if (pending_.compare(0, boundary_.size(), boundary_) != 0) pending_.erase(0, 2);
    state_ = State::kData;
    return true;
}

}  // namespace hutch::daemon
