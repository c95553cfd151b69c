// The host: version, abilities, findings.

#include <sys/utsname.h>

#include "daemon/api/resources.h"
#include "daemon/doctor.h"

namespace hutch::daemon {

void add_host_routes(Router& router, Services& services) {
    router.add("GET", "/v2", [&router](Exchange&, const Params&) -> Task<Result<std::optional<Response>>> {
        Json all = Json::object();
        all["version"] = HUTCH_VERSION;
        all["calls"] = router.routes();
        co_return std::optional(answer(all));
    });
    router.add(
        "GET", "/v2/host", [&services](Exchange& exchange, const Params&) -> Task<Result<std::optional<Response>>> {
            CO_TRY(check_local(exchange));
            const auto findings = co_await services.boxes.workers().run([&] { return examine_host(services.config); });
            Json rows = Json::array();
            for (const Finding& finding : findings) {
                rows.push_back({{"level", name_of(finding.level)}, {"what", finding.what}, {"fix", finding.fix}});
            }
            utsname kernel{};
            uname(&kernel);
            const Mechanisms& mechanisms = services.boxes.mechanisms();
            co_return std::optional(
                answer(Json{{"version", HUTCH_VERSION},
                            {"kernel", kernel.release},
                            {"cgroups", mechanisms.cgroups.hybrid() ? "hybrid" : "unified"},
                            {"boxes", services.boxes.list().size()},
                            {"deleting", services.boxes.leaving()},
                            {"boxes_ready", services.boxes.stock().ids()},
                            {"boxes_wanted", services.boxes.stock().wanted()},
                            {"slots_ready", mechanisms.slots->ready()},
                            {"uppers_ready", mechanisms.spares ? Json(mechanisms.spares->ready()) : Json()},
                            {"findings", std::move(rows)}}));
        });
}

}  // namespace hutch::daemon
