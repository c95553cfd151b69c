#include "daemon/wire/multipart.h"

#include <algorithm>

#include "base/text.h"

namespace hutch::daemon {
namespace {

using std::string_view;

bool begins_with(string_view text, string_view lower_case) {
    return lower(text.substr(0, lower_case.size())) == lower_case;
}

struct Value {
    std::string text;
    size_t size = 0;  ///< as it stands in the header, quotes included
};

// Within quotes, quotes may be escaped (RFC 7578 leaves the rest alone).
Value value_of(string_view text) {
    Value value;
    if (!text.starts_with('"')) {
        value.size = std::min(text.find_first_of("; \t\r\n"), text.size());
        value.text = text.substr(0, value.size);
        return value;
    }
    for (value.size = 1; value.size < text.size() && text[value.size] != '"'; ++value.size) {
        if (text.substr(value.size).starts_with("\\\"")) ++value.size;
        value.text += text[value.size];
    }
    return value;
}

// name="value" or name=value within a header.
std::optional<std::string> parameter(string_view header, string_view name) {
    for (size_t at = header.find(';'); at != string_view::npos; at = header.find(';', at)) {
        const size_t begin = header.find_first_not_of(" \t", at + 1);
        const size_t sign = begin == string_view::npos ? begin : header.find_first_of("=;", begin);
        if (sign == string_view::npos) break;
        at = sign;
        if (header[sign] == ';') continue;
        Value value = value_of(header.substr(sign + 1));
        if (lower(header.substr(begin, sign - begin)) == name) return std::move(value.text);
        at = sign + 1 + value.size;
    }
    return std::nullopt;
}

}  // namespace

Result<Multipart> Multipart::open(const std::string& content_type) {
    const auto boundary = parameter(content_type, "boundary");
    if (!begins_with(content_type, "multipart/form-data") || !boundary || boundary->empty() || boundary->size() > 70 ||
        boundary->find_first_of("\r\n") != std::string::npos) {
        return invalid("Content-Type: must be multipart/form-data with a boundary");
    }
    return Multipart(*boundary);
}

Result<std::vector<Multipart::Event>> Multipart::feed(string_view piece) {
    pending_ += piece;
    Events events;
    while (TRY(step(events))) {
    }
    work_ += pending_.size();
    pending_.erase(0, at_);
    at_ = 0;
    return events;
}

Result<bool> Multipart::step(Events& events) {
    switch (state_) {
        case State::kPreamble:
            return take_data(nullptr);
        case State::kAfterBoundary:
            return take_line_end();
        case State::kHeaders:
            return take_headers(events);
        case State::kBodyStart:
            return take_body_start();
        case State::kData:
            return take_data(&events);
        case State::kDone:
            at_ = pending_.size();
            return false;
    }
    return false;
}

Result<bool> Multipart::take_line_end() {
    const string_view next = rest().substr(0, 2);
    if (next.size() < 2) return false;
    if (next == "--") {
        state_ = State::kDone;
    } else if (next == "\r\n") {
        if (++parts_ > kMostParts) {
            return Error{ErrorKind::kTooLarge, 0, "body: more than " + std::to_string(kMostParts) + " parts"};
        }
        advance(2);
        state_ = State::kHeaders;
    } else {
        return invalid("body: a multipart boundary is followed by neither a line break nor \"--\"");
    }
    return true;
}

Result<bool> Multipart::take_headers(Events& events) {
    const string_view text = rest();
    const size_t end = text.substr(0, kMostHeaders + 4).find("\r\n\r\n", searched_);
    work_ += std::min(text.size(), end) - searched_;
    if (end == string_view::npos && text.size() >= kMostHeaders + 4) {
        return Error{ErrorKind::kTooLarge, 0, "body: the headers of a part are larger than 8192 bytes"};
    }
    searched_ = end == string_view::npos ? text.size() - std::min<size_t>(text.size(), 3) : 0;
    if (end == string_view::npos) return false;
    Event part{Event::Kind::kPart, {}, {}, {}};
    bool named = false;
    for (size_t begin = 0; begin < end;) {
        const size_t line_end = std::min(text.find("\r\n", begin), end);
        const string_view header = text.substr(begin, line_end - begin);
        if (begins_with(header, "content-disposition:")) {
            const auto name = parameter(header, "name");
            named = name.has_value();
            part.name = name.value_or("");
            part.filename = parameter(header, "filename");
        }
        begin = line_end + 2;
    }
    if (!named) return invalid("body: a part has no Content-Disposition with a name");
    events.push_back(std::move(part));
    advance(end + 2);  // the line break stays: an empty part's boundary begins with it
    state_ = State::kBodyStart;
    return true;
}

// Of a part without a body, the boundary follows at once.
bool Multipart::take_body_start() {
    const string_view begin = rest().substr(0, boundary_.size());
    work_ += begin.size();
    if (string_view(boundary_).starts_with(begin) && begin.size() < boundary_.size()) return false;
    if (begin != boundary_) advance(2);
    state_ = State::kData;
    return true;
}

// Everything before the next boundary is data (or, with no `events`, the preamble). The last bytes stay while they
// may be the beginning of a boundary.
bool Multipart::take_data(Events* events) {
    const string_view text = rest();
    const size_t found = text.find(boundary_);
    const bool whole = found != string_view::npos;
    const size_t sure = whole ? found : text.size() - std::min(text.size(), boundary_.size() - 1);
    work_ += sure + boundary_.size();
    if (sure > 0 && events != nullptr)
        events->push_back({Event::Kind::kData, {}, {}, std::string(text.substr(0, sure))});
    advance(sure + (whole ? boundary_.size() : 0));
    if (!whole) return false;
    if (events != nullptr) events->push_back({Event::Kind::kPartEnd, {}, {}, {}});
    state_ = State::kAfterBoundary;
    return true;
}

}  // namespace hutch::daemon
