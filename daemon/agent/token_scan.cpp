#include "daemon/agent/token_scan.h"

#include <algorithm>
#include <charconv>

namespace hutch::daemon {
namespace {

// Anthropic's and OpenAI's names; each call tells one of the first two, and one of the next two.
constexpr std::string_view kNames[] = {"\"input_tokens\"", "\"prompt_tokens\"", "\"output_tokens\"",
                                       "\"completion_tokens\"", "\"cache_creation_input_tokens\""};
constexpr size_t kLongestCount = 64;  // bytes of a name, a colon, spaces and a number
constexpr int64_t kMostTold = 100'000'000;

}  // namespace

void TokenScan::feed(std::string_view piece) {
    tail_ += piece;
    for (size_t kind = 0; kind < kKinds; ++kind) {
        for (size_t at = tail_.find(kNames[kind]); at != std::string::npos; at = tail_.find(kNames[kind], at + 1)) {
            take(kind, std::string_view(tail_).substr(at + kNames[kind].size()));
        }
    }
    if (tail_.size() > kLongestCount) tail_.erase(0, tail_.size() - kLongestCount);
}

void TokenScan::take(size_t kind, std::string_view rest) {
    const size_t colon = rest.find_first_not_of(" \t\r\n");
    if (colon == std::string_view::npos || rest[colon] != ':') return;
    rest.remove_prefix(colon + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    int64_t number = 0;
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failed != std::errc()) return;
    most_[kind] = std::max(most_[kind], std::clamp<int64_t>(number, 0, kMostTold));
}

int64_t TokenScan::tokens() const {
    const auto [input, prompt, output, completion, cached] = most_;
    return std::max(input, prompt) + std::max(output, completion) + cached;
}

}  // namespace hutch::daemon
