#include "daemon/agent/transcript.h"

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

void Transcript::begin_attempt() {
    before_ = result();
    result_ = {};
    ended_.reset();
    restart();
}

AgentResult Transcript::result() const {
    AgentResult all = result_;
    all.input_tokens += before_.input_tokens;
    all.output_tokens += before_.output_tokens;
    all.cached_input_tokens += before_.cached_input_tokens;
    all.cost_usd += before_.cost_usd;
    if (all.session.empty()) all.session = before_.session;
    return all;
}

std::optional<Json> object_of(std::string_view line) {
    Json json = Json::parse(line, nullptr, false);
    return json.is_object() ? std::optional(std::move(json)) : std::nullopt;
}

std::string text_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t number_at(const Json& object, const char* key) {
    return static_cast<int64_t>(amount_at(object, key));
}

double amount_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

bool flag_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json& object_at(const Json& object, const char* key) {
    static const Json kNone = Json::object();
    const auto found = object.find(key);
    return found != object.end() && found->is_object() ? *found : kNone;
}

}  // namespace hutch::daemon
