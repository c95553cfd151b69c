#include "daemon/wire/opening.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/text.h"

namespace hutch::daemon {
namespace {

using std::string_view;

constexpr char kHandshakeRecord = 22;
constexpr size_t kRecordHead = 5;
constexpr size_t kHandshakeHead = 4;

// Takes what it is asked for from the front; once something was not there, nothing is.
class Bytes {
  public:
    explicit Bytes(string_view bytes) : left_(bytes) {}

    string_view take(size_t size) {
        if (size > left_.size()) broken_ = true;
        if (broken_) return {};
        const string_view taken = left_.substr(0, size);
        left_.remove_prefix(size);
        return taken;
    }
    size_t number(size_t size) {
        size_t value = 0;
        for (const char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }
    /// Bytes behind their own length, which has so many bytes.
    Bytes list(size_t size_of_length) {
        Bytes inner(take(number(size_of_length)));
        inner.broken_ = broken_;
        return inner;
    }
    [[nodiscard]] bool empty() const { return broken_ || left_.empty(); }
    [[nodiscard]] bool broken() const { return broken_; }
    [[nodiscard]] string_view rest() const { return left_; }

  private:
    string_view left_;
    bool broken_ = false;
};

std::string name_from(string_view text) {
    constexpr size_t kLongestName = 253;
    std::string name = lower(text);
    if (name.ends_with('.')) name.pop_back();
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    const bool whole = !name.empty() && name.size() <= kLongestName && name.front() != '.' && name.back() != '.' &&
                       name.find("..") == std::string::npos && std::all_of(name.begin(), name.end(), fits);
    return whole ? name : "";
}

// Of the extension server_name: one name of a host, and nothing else.
std::string server_name(Bytes extension) {
    Bytes names = extension.list(2);
    const bool is_host = names.number(1) == 0;
    const Bytes name = names.list(2);
    const bool alone = names.empty() && extension.empty() && !names.broken() && !extension.broken();
    return is_host && alone && !name.broken() ? name_from(name.rest()) : "";
}

// An extension that is there twice is one that two readers read differently.
Opening opening_of_hello(string_view hello) {
    constexpr size_t kVersionAndRandom = 34;
    constexpr size_t kServerName = 0;
    constexpr size_t kEncryptedHello = 0xfe0d;
    Bytes bytes(hello);
    bytes.take(kVersionAndRandom);
    bytes.list(1);  // session
    bytes.list(2);  // cipher suites
    bytes.list(1);  // compression
    Bytes extensions = bytes.list(2);
    std::optional<std::string> name;
    bool hides = false;
    while (!extensions.empty()) {
        const size_t type = extensions.number(2);
        const Bytes extension = extensions.list(2);
        hides = hides || type == kEncryptedHello;
        if (type != kServerName || extension.broken()) continue;
        if (name) return {Opening::Kind::kTls, "", hides};
        name = server_name(extension);
    }
    const bool broken = extensions.broken() || bytes.broken() || !bytes.empty();
    return {Opening::Kind::kTls, broken ? "" : name.value_or(""), hides};
}

Opening look_at_tls(string_view received) {
    constexpr size_t kLargestRecord = 16 * 1024;
    constexpr char kClientHello = 1;
    std::string handshake;  // a message may come in several records
    Bytes records(received);
    for (;;) {
        if (handshake.size() >= kHandshakeHead) {
            Bytes head(handshake);
            if (head.take(1).front() != kClientHello) return {Opening::Kind::kOther, ""};
            const size_t size = head.number(3);
            if (size > OpeningScan::kMostBytes) return {Opening::Kind::kTls, ""};
            if (head.rest().size() >= size) return opening_of_hello(head.rest().substr(0, size));
        }
        Bytes record = records;
        const string_view type = record.take(1);
        const string_view major = record.take(1);
        record.take(1);
        if ((!type.empty() && type.front() != kHandshakeRecord) || (!major.empty() && major.front() != 3)) {
            return {Opening::Kind::kOther, ""};
        }
        const size_t size = record.number(2);
        if (!record.broken() && (size == 0 || size > kLargestRecord)) return {Opening::Kind::kOther, ""};
        const string_view content = record.take(size);
        if (record.broken()) return {};
        handshake += content;
        records = record;
    }
}

// Both were checked by the scan: one field, without a space in it.
std::string host_of(string_view head) {
    constexpr string_view kField = "\r\nhost:";
    const std::string lowered = lower(head);
    const size_t field = lowered.find(kField);
    if (field == std::string::npos) return "";
    const size_t begin = std::min(lowered.find_first_not_of(" \t", field + kField.size()), lowered.size());
    string_view host = string_view(lowered).substr(begin, lowered.find_first_of(" \t\r", begin) - begin);
    if (const size_t colon = host.find(':'); colon != string_view::npos) {
        const string_view port = host.substr(colon + 1);
        if (port.find_first_not_of("0123456789") != string_view::npos) return "";
        host = host.substr(0, colon);
    }
    return name_from(host);
}

}  // namespace

Opening OpeningScan::look(string_view received) {
    if (received.empty()) return {};
    const char first = received.front();
    if (first == kHandshakeRecord) return look_at_tls(received);
    if (first < 'A' || first > 'Z') return {Opening::Kind::kOther, ""};
    // Other protocols begin with words, too, and their servers would be waited for.
    const size_t line = received.find("\r\n");
    const bool request = line != string_view::npos && received.substr(0, line).find(" HTTP/1.") != string_view::npos;
    if (line != string_view::npos && !request) return {Opening::Kind::kOther, ""};
    if (head_.look(received)) return {Opening::Kind::kOther, ""};
    if (head_.size() == 0) return {};
    return {Opening::Kind::kHttp, host_of(received.substr(0, head_.size()))};
}

}  // namespace hutch::daemon
