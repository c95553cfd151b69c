#include "daemon/wire/request_hosts.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"

namespace hutch::daemon {
namespace {

using std::string_view;

constexpr size_t kLongestChunkLine = 16;
constexpr string_view kSwitching = "HTTP/1.1 101";

// Of a head that HeadScan has taken: none of these is there twice.
std::optional<std::string> field_in_head(string_view head, const std::string& name) {
    const std::string lowered = lower(head);
    const std::string begin = "\r\n" + name + ":";
    const size_t field = lowered.find(begin);
    if (field == std::string::npos) return std::nullopt;
    string_view value = string_view(lowered).substr(field + begin.size());
    value = value.substr(0, value.find('\r'));
    const size_t first = std::min(value.find_first_not_of(" \t"), value.size());
    return std::string(value.substr(first, value.find_last_not_of(" \t") + 1 - first));
}

// All of the text; an extension of a chunk, which nobody sends, is no number.
std::optional<uint64_t> whole_number(string_view text, int base) {
    uint64_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

bool RequestHosts::take(string_view bytes) {
    while (!bytes.empty() && !is_switched_) {
        const bool taken = part_ == Part::kHead                            ? take_head(bytes)
                           : part_ == Part::kBody || part_ == Part::kChunk ? take_bytes(bytes)
                                                                           : take_line(bytes);
        if (!taken) return false;
    }
    return true;
}

bool RequestHosts::take_head(string_view& bytes) {
    const size_t had = line_.size();
    constexpr string_view kEnd = "\r\n\r\n";
    const size_t end = bytes.find(kEnd);
    line_ += end == string_view::npos ? bytes : bytes.substr(0, end + kEnd.size());
    if (scan_.look(line_)) return false;
    if (scan_.size() == 0) {
        bytes = {};
        return true;
    }
    bytes.remove_prefix(scan_.size() - had);
    line_.resize(scan_.size());
    ++requests_;
    const bool passes = judge_(line_) && begin_body();
    scan_ = HeadScan();
    line_.clear();
    return passes;
}

bool RequestHosts::begin_body() {
    may_switch_ = requests_ == 1 && field_in_head(line_, "upgrade") == "websocket";
    part_ = Part::kHead;
    if (field_in_head(line_, "transfer-encoding")) {
        part_ = Part::kChunkSize;
        return true;
    }
    const auto length = field_in_head(line_, "content-length");
    if (!length) return true;
    const auto bytes = whole_number(*length, 10);
    left_ = bytes.value_or(0);
    if (left_ > 0) part_ = Part::kBody;
    return bytes.has_value();
}

bool RequestHosts::take_bytes(string_view& bytes) {
    const size_t size = std::min<uint64_t>(left_, bytes.size());
    bytes.remove_prefix(size);
    left_ -= size;
    if (left_ == 0) part_ = part_ == Part::kBody ? Part::kHead : Part::kChunkEnd;
    return true;
}

bool RequestHosts::take_line(string_view& bytes) {
    const size_t most = part_ == Part::kTrailers ? HeadScan::kMostBytes : kLongestChunkLine;
    const size_t size = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
    line_ += bytes.substr(0, size);
    bytes.remove_prefix(size);
    if (line_.size() > most + 2) return false;
    if (!line_.ends_with('\n')) return true;
    const bool whole = line_.ends_with("\r\n") && line_.find('\r') == line_.size() - 2;
    line_.resize(line_.size() - std::min<size_t>(line_.size(), 2));
    const bool good = whole && end_line();
    line_.clear();
    return good;
}

bool RequestHosts::end_line() {
    if (part_ == Part::kTrailers) {
        trailers_ += line_.size();
        if (line_.empty()) part_ = Part::kHead;
        return trailers_ <= HeadScan::kMostBytes;
    }
    if (part_ == Part::kChunkEnd) {
        part_ = Part::kChunkSize;
        return line_.empty();
    }
    const auto size = whole_number(line_, 16);
    left_ = size.value_or(0);
    trailers_ = 0;
    part_ = left_ > 0 ? Part::kChunk : Part::kTrailers;
    return size.has_value();
}

void RequestHosts::answered(string_view bytes) {
    if (answer_.size() >= kSwitching.size()) return;
    answer_ += bytes.substr(0, kSwitching.size() - answer_.size());
    is_switched_ = may_switch_ && answer_ == kSwitching && part_ == Part::kHead && line_.empty();
}

bool may_be_web(string_view begun) {
    constexpr char kFirstRecord = 20, kLastRecord = 24;  // of TLS: some servers pass over an alert before the hello
    constexpr size_t kOldHello = 3;                      // of SSL 2: a length with its highest bit set, and a type
    if (begun.empty()) return false;
    const char first = begun.front();
    const auto is_old = [&] { return (first & 0x80) != 0 && (begun.size() < kOldHello || begun[2] == 1); };
    const bool is_record = first >= kFirstRecord && first <= kLastRecord;
    if (is_record || is_old() || first == '\r' || first == '\n' || first == ' ' || first == '\t') {
        return true;
    }
    if (first < ' ') return false;
    const size_t end = begun.find('\n');
    const std::string line = lower(begun.substr(0, end));
    if (end == string_view::npos || line.find("http/") != std::string::npos) return true;
    for (const char* method :
         {"get ", "head ", "post ", "put ", "delete ", "options ", "patch ", "trace ", "connect ", "pri ", "proxy "}) {
        if (line.starts_with(method)) return true;
    }
    return false;
}

}  // namespace hutch::daemon
