#pragma once

#include "daemon/api/http_exchange.h"
#include "daemon/api/router.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

/// Stands before the calls of a member of a fleet: answers for what is other hosts', and lets this one answer for what
/// is its own.
class Elsewhere {
  public:
    virtual ~Elsewhere() = default;
    using Answer = std::function<Task<Result<std::optional<Response>>>()>;
    struct Call {
        HttpExchange& exchange;  ///< whose caller is known
        const Params& params;
        Answer here;                   ///< by this host; once, or again after HttpExchange::give_back()
        std::function<void()> untied;  ///< to be called when what follows has no end of its own
    };
    virtual Task<Result<std::optional<Response>>> answer(Call& call) = 0;
};

// In what one host tells another on who asks. Only where the connection itself has shown that it is one of the fleet's.
constexpr const char* kToldCustomer = "x-hutch-customer";
constexpr const char* kToldOperator = "x-hutch-operator";  ///< 1 or 0
constexpr const char* kToldWho = "x-hutch-who";            ///< as Caller has it
constexpr const char* kToldAddress = "x-hutch-address";

inline Pairs told_of(const Request& request) {
    return {{kToldCustomer, request.caller.customer},
            {kToldOperator, request.caller.is_operator ? "1" : "0"},
            {kToldWho, request.caller.who},
            {kToldAddress, request.address}};
}

inline Result<Caller> told_caller(const Request& request) {
    const std::string customer = request.header(kToldCustomer);
    if (customer.empty()) return invalid(std::string(kToldCustomer) + ": a host of the fleet says who asks");
    return Caller{customer, request.header(kToldOperator) == "1", request.header(kToldWho)};
}

}  // namespace hutch::daemon
