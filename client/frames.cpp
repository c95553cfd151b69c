#include "client/frames.h"

namespace hutch::client {
namespace {

constexpr size_t kHead = 5;

size_t length_of(std::string_view head) {
    size_t length = 0;
    for (const char byte : head.substr(1, kHead - 1)) length = length << 8U | static_cast<unsigned char>(byte);
    return length;
}

}  // namespace

std::optional<Frame> Frames::next() {
    while (!broken_ && held_.size() - done_ >= kHead) {
        const std::string_view rest = std::string_view(held_).substr(done_);
        const size_t length = length_of(rest);
        broken_ = length > kLargest;
        if (broken_ || rest.size() < kHead + length) break;
        done_ += kHead + length;
        const auto kind = static_cast<Frame::Kind>(rest.front());
        if (kind > Frame::Kind::kEnd) continue;
        return Frame{kind, std::string(rest.substr(kHead, length))};
    }
    held_.erase(0, done_);
    done_ = 0;
    return std::nullopt;
}

}  // namespace hutch::client
