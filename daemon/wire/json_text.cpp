#include "daemon/wire/json_text.h"

#include <algorithm>

#include "base/utf8.h"

namespace hutch::daemon {
namespace {

constexpr size_t kSlice = 4 * 1024;  // of a string at a time: six times as long when it is all control characters

bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

void escape_ascii(char c, std::string& into) {
    constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
    constexpr std::string_view kNames = "\"\\bfnrt";
    if (const size_t named = kNamed.find(c); named != std::string_view::npos) {
        into += '\\';
        into += kNames[named];
    } else {
        constexpr std::string_view kDigits = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        into += "\\u00";
        into += kDigits[byte >> 4U];
        into += kDigits[byte & 15U];
    }
}

// Where a slice of it that begins at `begin` may end without parting a character.
size_t slice_end(const std::string& text, size_t begin) {
    size_t end = std::min(text.size(), begin + kSlice);
    const auto continues = [&] { return end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80; };
    for (int i = 0; i < 3 && continues(); ++i) --end;
    return end;
}

}  // namespace

void escape_json(std::string_view text, std::string& into) {
    while (!text.empty()) {
        const auto special = std::find_if_not(text.begin(), text.end(), is_plain);
        const auto plain = static_cast<size_t>(special - text.begin());
        into.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) return;
        const Utf8 character = first_character(text);
        if (!character.whole) {
            into += "\xef\xbf\xbd";
        } else if (character.size > 1 || text.front() == '\x7f') {
            into.append(text.substr(0, character.size));
        } else {
            escape_ascii(text.front(), into);
        }
        text.remove_prefix(character.size);
    }
}

JsonText::JsonText(Json value) : value_(std::move(value)) {
    enter(value_);
}

std::string JsonText::next(size_t least) {
    std::string piece;
    while (!places_.empty() && piece.size() < least) step(piece);
    return piece;
}

void JsonText::enter(const Json& value) {
    places_.push_back({&value, value.begin()});
}

void JsonText::step(std::string& piece) {
    Place& place = places_.back();
    const Json& value = *place.value;
    if (value.is_string()) {
        write_string(place, piece);
    } else if (value.is_structured()) {
        write_member(place, piece);
    } else {
        piece += dump(value);
        places_.pop_back();
    }
}

void JsonText::write_string(Place& place, std::string& piece) {
    const auto& text = place.value->get_ref<const std::string&>();
    if (!std::exchange(place.begun, true)) piece += '"';
    const size_t end = slice_end(text, place.offset);
    escape_json(std::string_view(text).substr(place.offset, end - place.offset), piece);
    place.offset = end;
    if (end < text.size()) return;
    piece += '"';
    places_.pop_back();
}

void JsonText::write_member(Place& place, std::string& piece) {
    const bool object = place.value->is_object();
    const bool first = !std::exchange(place.begun, true);
    if (first) piece += object ? '{' : '[';
    if (place.at == place.value->end()) {
        piece += object ? '}' : ']';
        places_.pop_back();
        return;
    }
    if (!first) piece += ',';
    if (object) {
        piece += '"';
        escape_json(place.at.key(), piece);
        piece += "\":";
    }
    const Json& member = *place.at;
    ++place.at;
    enter(member);
}

}  // namespace hutch::daemon
