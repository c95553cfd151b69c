#include "daemon/webhooks.h"

#include "base/text.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kPauses[] = {std::chrono::seconds(1), std::chrono::seconds(10),
                                            std::chrono::seconds(60)};

}  // namespace

Task<Result<OutboundAnswer>> Webhooks::call_once(std::string customer, const Tell& tell, std::string& origin) {
    const auto turn = co_await telling_.take(std::move(customer));
    CO_TRY_LET(Telling telling, co_await tell());
    origin = origin_of(telling.to.url);
    OutboundCall call;
    call.url = std::move(telling.to.url);
    call.headers = {"Content-Type: application/json"};
    for (const auto& [name, value] : telling.to.headers) call.headers.push_back(name + ": " + value);
    call.body = std::move(telling.body);
    call.to_private = to_private_;
    co_return co_await call_out(fetcher_, std::move(call));
}

Task<> Webhooks::tell(std::string customer, std::string run, Tell tell) {
    std::string origin;
    for (size_t tries = 0;; ++tries) {
        const auto told = co_await call_once(customer, tell, origin);
        const int64_t status = told.ok() ? told.value().status : 0;
        const bool heard = told.ok() && status < 500 && status != 408 && status != 429;
        if (heard && status < 300) co_return;
        const std::string what = told.ok() ? "it answered " + std::to_string(status) : told.error().message;
        log_warning("run {}: webhook {}: {}", run, origin, what);
        const bool gone = !told.ok() && told.error().kind == ErrorKind::kNotFound;
        if (heard || gone || tries == std::size(kPauses)) co_return;
        asio::steady_timer pause(executor_, kPauses[tries]);
        co_await pause.async_wait(kAwait);
    }
}

}  // namespace hutch::daemon
