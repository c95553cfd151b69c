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

}  // namespace

void Router::add(const std::string& method, const std::string& pattern, Handler handler) {
    routes_.push_back({method, split_path(pattern), std::move(handler)});
}

Router::Match Router::match(const std::string& method, const std::string& path) const {
    const std::vector<std::string> segments = split_path(path);
    Match best;
    size_t best_fixed = 0;
    for (const Route& route : routes_) {
        if (route.segments.size() != segments.size()) continue;
        Params params;
        size_t fixed = 0;
        bool fits = true;
        for (size_t i = 0; i < segments.size() && fits; ++i) {
            if (is_name(route.segments[i])) {
                params[route.segments[i].substr(1, route.segments[i].size() - 2)] = segments[i];
            } else {
                fits = route.segments[i] == segments[i];
                ++fixed;
            }
        }
        if (!fits) continue;
        if (route.method != method) {
            if (best.handler == nullptr) best.status = 405;
        } else if (best.handler == nullptr || fixed > best_fixed) {
            best = {&route.handler, std::move(params), 200};
            best_fixed = fixed;
        }
    }
    return best;
}

std::vector<std::string> Router::routes() const {
    std::vector<std::string> all;
    for (const Route& route : routes_) {
        std::string text = route.method + " ";
        for (const std::string& segment : route.segments) text += "/" + segment;
        all.push_back(std::move(text));
    }
    return all;
}

}  // namespace hutch::daemon
