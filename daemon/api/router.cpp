#include "daemon/api/router.h"

namespace hutch::daemon {
namespace {

std::vector<std::string> split_path(const std::string& path) {
    std::vector<std::string> segments;
    for (size_t begin = 1; begin <= path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        segments.push_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return segments;
}

bool is_name(const std::string& segment) {
    return segment.size() > 2 && segment.front() == '{';
}

constexpr std::string_view kSeveral = "...}";

/// How many segments of a pattern are those of the path, with what its names stand for in `params`; nothing where it
/// does not fit.
std::optional<size_t> fixed_of(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
                               Params& params) {
    if (pattern.size() > path.size()) return std::nullopt;
    const size_t more = path.size() - pattern.size();  // than there are in the pattern: for a {name...}
    bool widened = more == 0;
    size_t fixed = 0;
    size_t at = 0;
    for (const std::string& segment : pattern) {
        const std::string& here = path[at++];
        if (!is_name(segment)) {
            if (segment != here) return std::nullopt;
            ++fixed;
            continue;
        }
        const bool several = segment.ends_with(kSeveral);
        std::string& value = params[segment.substr(1, segment.size() - 1 - (several ? kSeveral.size() : 1))];
        value = here;
        for (size_t i = 0; several && i < more; ++i) value += "/" + path[at++];
        widened = widened || several;
    }
    return widened ? std::optional(fixed) : std::nullopt;
}

}  // namespace

void Router::add(const std::string& method, const std::string& pattern, Handler handler) {
    routes_.push_back({method, split_path(pattern), std::move(handler)});
}

Router::Match Router::match(const std::string& method, const std::string& path) const {
    const std::vector<std::string> segments = split_path(path);
    Match best;
    size_t best_fixed = 0;
    for (const Route& route : routes_) {
        Params params;
        const auto fixed = fixed_of(route.segments, segments, params);
        if (!fixed) continue;
        if (route.method != method) {
            if (best.handler == nullptr) best.status = 405;
        } else if (best.handler == nullptr || *fixed > best_fixed) {
            best = {&route.handler, std::move(params), 200};
            best_fixed = *fixed;
        }
    }
    return best;
}

std::vector<std::string> Router::routes() const {
    std::vector<std::string> all;
    for (const Route& route : routes_) {
        std::string text = route.method + " ";
        for (const std::string& segment : route.segments) {
            const bool several = is_name(segment) && segment.ends_with(kSeveral);
            text += "/" + (several ? segment.substr(0, segment.size() - kSeveral.size()) + "}" : segment);
        }
        all.push_back(std::move(text));
    }
    return all;
}

}  // namespace hutch::daemon
