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

/// "GET /v2/box/{id}/files/read" -> handler. Fixed segments win over {names}.
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

  private:
    struct Route {
        std::string method;
        std::vector<std::string> segments;
        Handler handler;
    };
    std::vector<Route> routes_;
};

}  // namespace hutch::daemon
