#include "netns/dns_answer.h"

#include <algorithm>
#include <map>

#include "netns/dns_message.h"
#include "netns/domain.h"

namespace hutch::netns {
namespace {

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeCname = 5;
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kInternet = 1;
constexpr size_t kAfterName = 4;  // type and class of a question
constexpr size_t kLongestWireName = 255;
constexpr unsigned kPointer = 0xC0;
constexpr int kMostCnames = 16;
constexpr uint16_t kRoomForAnswer = 1232;

std::string big_endian(uint16_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
}

std::string big_endian(uint32_t value) {
    return big_endian(static_cast<uint16_t>(value >> 16)) + big_endian(static_cast<uint16_t>(value & 0xFFFF));
}

// "example.org" as "\7example\3org\0".
std::string labels_of(const std::string& name) {
    std::string labels;
    for (size_t begin = 0; begin <= name.size();) {
        const size_t end = std::min(name.find('.', begin), name.size());
        labels += static_cast<char>(end - begin) + name.substr(begin, end - begin);
        begin = end + 1;
    }
    return labels + '\0';
}

// Reads a packet from its begin to its end; what is not there fails all that follows.
class Reader {
  public:
    Reader(std::string_view packet, size_t at) : packet_(packet), at_(at), failed_(at > packet.size()) {}

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] size_t at() const { return at_; }
    uint32_t number(size_t bytes) {
        uint32_t value = 0;
        for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }
    std::string_view take(size_t bytes) {
        if (failed_ || packet_.size() - at_ < bytes) {
            failed_ = true;
            return {};
        }
        at_ += bytes;
        return packet_.substr(at_ - bytes, bytes);
    }
    // Its labels in lower case, with their lengths. A pointer leads to before where it stands and before what it was
    // led to by, so a name ends.
    std::string name() {
        std::string labels;
        size_t before = at_;
        std::optional<size_t> back;
        for (;;) {
            const unsigned length = number(1);
            if ((length & kPointer) == kPointer) {
                const size_t to = (length & ~kPointer) << 8 | number(1);
                if (!back) back = at_;
                failed_ = failed_ || to >= before;
                before = at_ = to;
            } else {
                failed_ = failed_ || (length & kPointer) != 0;
                labels += static_cast<char>(length);
                for (const char c : take(length)) labels += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
                if (length == 0) break;
            }
            failed_ = failed_ || labels.size() >= kLongestWireName;
            if (failed_) return {};
        }
        if (back) at_ = *back;
        return labels;
    }

  private:
    std::string_view packet_;
    size_t at_;
    bool failed_;
};

struct Alias {
    std::string target;
    uint32_t seconds;
};

// By the names they belong to, as Reader::name() gives them.
struct Found {
    std::multimap<std::string, DnsAddress> addresses;
    std::map<std::string, Alias> aliases;
};

// RFC 2181, section 8: a time with the highest bit set is none.
uint32_t seconds_of(uint32_t field) {
    return field > INT32_MAX ? 0 : field;
}

bool read_record(Reader& reader, Found& found) {
    std::string owner = reader.name();
    const uint32_t type = reader.number(2);
    const uint32_t of = reader.number(2);
    const uint32_t seconds = seconds_of(reader.number(4));
    const size_t size = reader.number(2);
    if (of == kInternet && type == kTypeCname) {
        const size_t end = reader.at() + size;
        std::string target = reader.name();
        if (reader.at() != end) return false;
        found.aliases.try_emplace(std::move(owner), Alias{std::move(target), seconds});
    } else if (of == kInternet && type == kTypeA) {
        if (size != sizeof(in_addr)) return false;
        found.addresses.emplace(std::move(owner), DnsAddress{{reader.number(sizeof(in_addr))}, seconds});
    } else {
        reader.take(size);
    }
    return !reader.failed();
}

std::string answer_of(std::string_view query, unsigned code) {
    constexpr unsigned kRecursion = 0x80;  // is to be had here
    std::string answer = refusal(query);
    answer[3] = static_cast<char>(kRecursion | code);
    return answer;
}

}  // namespace

std::optional<DnsQuestion> read_question(std::string_view question) {
    Reader reader(question, 0);
    std::string text;
    for (;;) {
        const size_t length = reader.number(1);
        if (length == 0) break;
        const std::string_view label = reader.take(length);
        if (label.find('.') != std::string_view::npos) return std::nullopt;
        text += std::string(label) + '.';
    }
    const uint32_t type = reader.number(2);
    const uint32_t of = reader.number(2);
    auto name = host_name(text);
    if (reader.failed() || !name || of != kInternet) return std::nullopt;
    return DnsQuestion{std::move(*name), type == kTypeA};
}

std::string address_query(uint16_t id, const std::string& name) {
    using namespace std::string_literals;
    const std::string header = big_endian(id) + "\1\0\0\1\0\0\0\0\0\1"s;  // recursion, a question, an addition
    const std::string room = "\0"s + big_endian(kTypeOpt) + big_endian(kRoomForAnswer) + "\0\0\0\0\0\0"s;
    return header + labels_of(name) + big_endian(kTypeA) + big_endian(kInternet) + room;
}

std::optional<DnsAnswer> parse_answer(std::string_view packet, const std::string& name) {
    std::string at = labels_of(name);
    Reader header(packet, 3);
    DnsAnswer answer{header.number(1) & 0xF, {}};
    header.number(2);
    const size_t records = header.number(2);
    Reader reader(packet, kDnsHeader + at.size() + kAfterName);
    if (header.failed() || reader.failed()) return std::nullopt;
    Found found;
    for (size_t i = 0; i < std::min(records, kMostRecords); ++i) {
        if (!read_record(reader, found)) return std::nullopt;
    }
    uint32_t most = UINT32_MAX;
    auto alias = found.aliases.find(at);
    for (int i = 0; i < kMostCnames && alias != found.aliases.end(); ++i) {
        at = alias->second.target;
        most = std::min(most, alias->second.seconds);
        alias = found.aliases.find(at);
    }
    const auto [first, last] = found.addresses.equal_range(at);
    for (auto entry = first; entry != last; ++entry) {
        answer.addresses.push_back({entry->second.address, std::min(entry->second.seconds, most)});
    }
    return answer;
}

std::string address_answer(std::string_view query, const std::vector<DnsAddress>& addresses) {
    std::string answer = answer_of(query, 0);
    const size_t count = std::min(addresses.size(), kMostAnswered);
    answer[7] = static_cast<char>(count);
    for (const DnsAddress& address : std::vector(addresses.begin(), addresses.begin() + static_cast<long>(count))) {
        const uint16_t name = kPointer << 8 | kDnsHeader;  // that of the question
        answer += big_endian(name) + big_endian(kTypeA) + big_endian(kInternet);
        answer += big_endian(address.seconds) + big_endian(static_cast<uint16_t>(sizeof(in_addr)));
        answer += big_endian(address.address.value);
    }
    return answer;
}

std::string no_such_name(std::string_view query) {
    constexpr unsigned kNoSuchName = 3;
    return answer_of(query, kNoSuchName);
}

}  // namespace hutch::netns
