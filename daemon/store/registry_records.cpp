#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

constexpr const char* kLoginPlace = "registry_logins.login";

}  // namespace

Result<void> Records::put_registry_login(const std::string& customer, const RegistryLoginRecord& login) {
    const std::string texts = join_texts({login.user, login.password, login.identity});
    const std::string sealed = TRY(seal(texts, kLoginPlace, customer + '/' + login.host));
    return database_.query("INSERT OR REPLACE INTO registry_logins VALUES (?, ?, ?)")
        .bind(customer)
        .bind(login.host)
        .bind(sealed)
        .run();
}

Result<bool> Records::drop_registry_login(const std::string& customer, const std::string& host) {
    Query query = database_.query("DELETE FROM registry_logins WHERE customer = ? AND host = ? RETURNING 1");
    query.bind(customer).bind(host);
    return query.step();
}

Result<std::vector<RegistryLoginRecord>> Records::registry_logins(const std::string& customer) {
    std::vector<RegistryLoginRecord> logins;
    Query query = database_.query("SELECT host, login FROM registry_logins WHERE customer = ? ORDER BY host");
    query.bind(customer);
    while (TRY(query.step())) {
        RegistryLoginRecord login{.host = query.text(0)};
        const auto texts = split_texts(TRY(unseal(query.text(1), kLoginPlace, customer + '/' + login.host)));
        if (!texts.empty()) login.user = texts[0];
        if (texts.size() > 1) login.password = texts[1];
        if (texts.size() > 2) login.identity = texts[2];
        logins.push_back(std::move(login));
    }
    return logins;
}

}  // namespace hutch::daemon
