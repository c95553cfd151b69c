#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/api/exchange.h"

namespace hutch::daemon {

/// What the {names} of a route's pattern stand for in this request.
using Params = std::map<std::string, std::string>;
/// Answers with a Response, or with nothing when it has streamed one itself.
using Handler = std::function<Task<Result<std::optional<Response>>>(Exchange&, const Params&)>;

/// "GET /v2/box/{id}/files/read" -> handler. Fixed segments win over {names}. A {name...} stands for one or more: what
/// it names may have '/' in it.
class Router {
  public:
    void add(const std::string& method, const std::string& pattern, Handler handler);
    /// Null with status 404 or 405 when there is none.
    struct Match {
        const Handler* handler = nullptr;
        Params params;
        int status = 404;
    };
    [[nodiscard]] Match match(const std::string& method, const std::string& path) const;
    [[nodiscard]] std::vector<std::string> routes() const;
    /// Asked before every handler; its error is then the answer.
    using Guard = std::function<Result<void>(Exchange&, const Params&)>;
    void set_guard(Guard guard) { guard_ = std::move(guard); }
    [[nodiscard]] Result<void> check(Exchange& exchange, const Params& params) const {
        return guard_ ? guard_(exchange, params) : Result<void>();
    }

  private:
    struct Route {
        std::string method;
        std::vector<std::string> segments;
        Handler handler;
    };
    std::vector<Route> routes_;
    Guard guard_;
};

}  // namespace hutch::daemon
