#include "daemon/store/records.h"

namespace hutch::daemon {

Result<Pairs> Records::env_of(const std::string& customer) {
    Query query = database_.query("SELECT env FROM customers WHERE name = ?");
    query.bind(customer);
    if (!TRY(query.step())) return Pairs();
    return split_pairs(query.text(0));
}

Result<void> Records::put_env(const std::string& customer, const Pairs& env) {
    return database_.query("INSERT INTO customers VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET env = ?2")
        .bind(customer)
        .bind(join(env))
        .run();
}

}  // namespace hutch::daemon
