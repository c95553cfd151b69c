#include "daemon/wire/tls_hellos.h"

namespace hutch::daemon {
namespace {

using std::string_view;

constexpr size_t kHeadOfRecord = 5;
constexpr size_t kHeadOfHandshake = 4;
constexpr int kMostHellos = 2;

size_t number_at(string_view bytes) {
    size_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

}  // namespace

bool TlsHellos::take(string_view bytes) {
    if (is_over_) return true;
    unread_ += bytes;
    Found found = Found::kGood;
    while (found == Found::kGood && !is_over_) found = take_record();
    if (is_over_) std::string().swap(unread_);
    return found != Found::kBad;
}

TlsHellos::Found TlsHellos::take_record() {
    constexpr char kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22;
    if (unread_.size() < kHeadOfRecord) return Found::kMore;
    const char type = unread_.front();
    if (type != kChangeCipherSpec && type != kAlert && type != kHandshake) {  // encrypted from here on
        is_over_ = true;
        return Found::kGood;
    }
    const size_t size = kHeadOfRecord + number_at(string_view(unread_).substr(3, 2));
    if (unread_.size() < size) return Found::kMore;
    const std::string record = unread_.substr(0, size);
    unread_.erase(0, size);
    return type == kHandshake ? take_handshake(record) : Found::kGood;
}

TlsHellos::Found TlsHellos::take_handshake(string_view record) {
    constexpr char kClientHello = 1;
    records_ += record;
    message_ += record.substr(kHeadOfRecord);
    if (message_.empty() || records_.size() > OpeningScan::kMostBytes) return Found::kBad;
    if (message_.front() != kClientHello) {  // the handshake goes on, with the hello that was
        is_over_ = true;
        return Found::kGood;
    }
    if (message_.size() < kHeadOfHandshake) return Found::kGood;
    const size_t size = kHeadOfHandshake + number_at(string_view(message_).substr(1, 3));
    if (message_.size() < size) return Found::kGood;
    const Opening hello = OpeningScan().look(records_);
    const bool whole = message_.size() == size && hello.kind == Opening::Kind::kTls;
    if (!whole || !judge_(hello)) return Found::kBad;
    is_over_ = ++hellos_ == kMostHellos;
    records_.clear();
    message_.clear();
    return Found::kGood;
}

}  // namespace hutch::daemon
