#include "daemon/api/calls.h"

#include <algorithm>
#include <string_view>

namespace hutch::daemon {
namespace {

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

CallKind kind_of_call(const std::string& method, const std::string& path) {
    if (method == "GET" || method == "HEAD") return CallKind::kRead;
    if (method != "POST") return CallKind::kChange;
    if (path == "/v2/box" || path == "/v2/box/from-snapshot") return CallKind::kCreate;
    constexpr std::string_view kBoxes = "/v2/box/";
    const size_t slash = path.starts_with(kBoxes) ? path.find('/', kBoxes.size()) : std::string::npos;
    if (slash == std::string::npos) return CallKind::kChange;
    const std::string what = path.substr(slash + 1, path.find('/', slash + 1) - slash - 1);
    if (what == "fork") return CallKind::kCreate;
    if (is_one_of(what, {"exec", "exec-stream", "code", "code-stream"})) return CallKind::kExec;
    return is_one_of(what, {"files", "git", "run"}) ? CallKind::kWork : CallKind::kChange;
}

CallEnd end_of_call(int status) {
    if (status < 400) return CallEnd::kOk;
    return status < 500 ? CallEnd::kRefused : CallEnd::kFailed;
}

const char* name_of(CallEnd end) {
    switch (end) {
        case CallEnd::kOk:
            return "ok";
        case CallEnd::kRefused:
            return "refused";
        case CallEnd::kFailed:
            return "failed";
        case CallEnd::kLeft:
            break;
    }
    return "left";
}

void Timings::add(CallKind kind, CallEnd end, std::chrono::nanoseconds time) {
    add(What::kHttp, end, time);
    if (kind == CallKind::kCreate) add(What::kCreate, end, time);
    if (kind == CallKind::kExec) add(What::kExec, end, time);
}

}  // namespace hutch::daemon
