#include "daemon/wire/transcript.h"

#include <cstdlib>

namespace hutch::daemon {

void Transcript::feed(std::string_view piece, const Take& take) {
    for (;;) {
        const size_t end = piece.find('\n');
        const std::string_view part = piece.substr(0, end);
        dropping_ = dropping_ || line_.size() + part.size() > kLongestLine;
        if (!dropping_) line_ += part;
        if (end == std::string_view::npos) return;
        if (!dropping_) take_line(line_, take);
        line_.clear();
        dropping_ = false;
        piece.remove_prefix(end + 1);
    }
}

void Transcript::end(const Take& take) {
    if (!line_.empty() && !dropping_) take_line(line_, take);
    line_.clear();
}

void Transcript::take_line(std::string_view line, const Take& take) {
    if (ended_) begin_attempt();
    if (!line.starts_with(kAttemptMark)) return read(line, take);
    char* rest = nullptr;
    const std::string numbers(line.substr(kAttemptMark.size()));
    const int64_t number = std::strtoll(numbers.c_str(), &rest, 10);
    ended_ = Attempt{number, std::strtoll(rest, nullptr, 10)};
}

void Transcript::note_plain(std::string_view line) {
    if (line.empty()) return;
    std::string& plain = result_.plain;
    plain += line.substr(0, kMostPlain);
    plain += '\n';
    if (plain.size() > 2 * kMostPlain) plain.erase(0, plain.size() - kMostPlain);
}

void Transcript::begin_attempt() {
    before_ = result();
    result_ = {};
    ended_.reset();
    restart();
}

AgentResult Transcript::result() const {
    AgentResult all = result_;
    add_to(all.input_tokens, before_.input_tokens);
    add_to(all.output_tokens, before_.output_tokens);
    add_to(all.cached_input_tokens, before_.cached_input_tokens);
    all.cost_usd += before_.cost_usd;
    if (all.session.empty()) all.session = before_.session;
    return all;
}

std::optional<Json> object_of(std::string_view line) {
    auto json = parse_json(line);
    return json.ok() && json.value().is_object() ? std::optional(std::move(json).value()) : std::nullopt;
}

void add_to(int64_t& sum, int64_t counted) {
    if (__builtin_add_overflow(sum, counted, &sum)) sum = INT64_MAX;
}

}  // namespace hutch::daemon
