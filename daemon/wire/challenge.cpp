#include "daemon/wire/challenge.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostHeader = 8 << 10;
constexpr size_t kMostToken = 32 << 10;
constexpr size_t kMostValues = 64;
constexpr size_t kMostRefusal = 300;
constexpr JsonBounds kAnswerBounds{.bytes = 1 << 20, .values = 2'000, .depth = 16};

bool is_token_char(char c) {
    constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
}

/// Reads a header from its beginning.
class HeaderReader {
  public:
    explicit HeaderReader(std::string_view text) : rest_(text) {}

    void skip(std::string_view what) { rest_.remove_prefix(std::min(rest_.find_first_not_of(what), rest_.size())); }
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    std::string_view token() {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_token_char);
        const std::string_view found = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
        rest_.remove_prefix(found.size());
        return found;
    }
    /// A token, or what is between quotes. False for quotes that are not closed.
    bool value(std::string& into) {
        if (!take('"')) {
            into = token();
            return true;
        }
        while (!rest_.empty()) {
            if (take('"')) return true;
            if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
            into += rest_.front();
            rest_.remove_prefix(1);
        }
        return false;
    }
    [[nodiscard]] std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
};

bool is_header_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string printable_line(std::string_view text) {
    std::string line;
    for (const char c : text.substr(0, kMostRefusal)) line += c >= ' ' && c < 0x7f ? c : '?';
    return line;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
    std::vector<Challenge> all;
    if (header.size() > kMostHeader) return all;
    HeaderReader reader(header);
    size_t values = 0;
    for (;;) {
        reader.skip(" \t,");
        const std::string name = lower(reader.token());
        if (name.empty() || ++values > kMostValues) return all;
        reader.skip(" \t");
        if (!reader.take('=')) {
            all.push_back({name, {}});
            continue;
        }
        reader.skip(" \t");
        std::string value;
        if (!reader.value(value) || all.empty()) return all;
        all.back().values.emplace(name, std::move(value));
    }
}

Result<BearerToken> parse_token(std::string_view body) {
    const Json answer = TRY(parse_json(body, kAnswerBounds));
    BearerToken found{text_at(answer, "token"), text_at(answer, "refresh_token")};
    if (found.token.empty()) found.token = text_at(answer, "access_token");
    if (found.token.empty()) return invalid("it has no token");
    if (found.token.size() > kMostToken) return invalid("its token is longer than 32 KiB");
    if (!is_header_text(found.token)) return invalid("its token has characters that cannot be sent");
    return found;
}

std::string refusal_in(std::string_view body) {
    const auto answer = parse_json(body, kAnswerBounds);
    if (!answer.ok()) return "";
    std::string all;
    for (const Json& error : array_at(answer.value(), "errors")) {
        std::string message = text_at(error, "message");
        if (message.empty()) message = text_at(error, "code");
        if (!message.empty()) all += (all.empty() ? "" : "; ") + message.substr(0, kMostRefusal);
        if (all.size() > kMostRefusal) break;
    }
    return printable_line(all);
}

std::string escaped_query(std::string_view text) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    std::string all;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        if (plain) {
            all += c;
        } else {
            all += {'%', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
        }
    }
    return all;
}

Result<std::string> redirected(const std::string& called, std::string_view location) {
    if (location.empty() || location.size() > kMostHeader || !is_header_text(location))
        return invalid("it names no address");
    if (is_web_address(location)) return std::string(location.substr(0, location.find('#')));
    if (location.starts_with("//")) return called.substr(0, called.find("//")) + std::string(location);
    if (location.starts_with('/'))
        return called.substr(0, called.find('/', called.find("://") + 3)) + std::string(location);
    if (location.starts_with('?')) return called.substr(0, called.find('?')) + std::string(location);
    return invalid("it leads to no web address");
}

}  // namespace hutch::daemon
