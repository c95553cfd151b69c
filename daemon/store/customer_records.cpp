#include "daemon/store/records.h"

namespace hutch::daemon {

Result<Pairs> Records::env_of(const std::string& customer) {
    Query query = database_.query("SELECT env FROM customers WHERE name = ?");
    query.bind(customer);
    if (!TRY(query.step())) return Pairs();
    return split_pairs(TRY(unseal(query.text(0), "customers.env", customer)));
}

Result<void> Records::put_env(const std::string& customer, const Pairs& env) {
    const std::string sealed = TRY(seal(join(env), "customers.env", customer));
    return database_.query("INSERT INTO customers VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET env = ?2")
        .bind(customer)
        .bind(sealed)
        .run();
}

Result<void> Records::add_key(const KeyRecord& key) {
    return database_.query("INSERT INTO keys VALUES (?, ?, ?)")
        .bind(key.customer)
        .bind(key.hash)
        .bind(key.created_at)
        .run();
}

Result<void> Records::drop_key(const std::string& customer) {
    return database_.query("DELETE FROM keys WHERE customer = ?").bind(customer).run();
}

Result<std::vector<KeyRecord>> Records::keys() {
    std::vector<KeyRecord> keys;
    Query query = database_.query("SELECT customer, hash, created_at FROM keys ORDER BY customer");
    while (TRY(query.step())) keys.push_back({query.text(0), query.text(1), query.number(2)});
    return keys;
}

Result<void> Records::put_limit(const LimitRecord& limit) {
    return database_.query("INSERT OR REPLACE INTO limits VALUES (?, ?, ?)")
        .bind(limit.customer)
        .bind(limit.resource)
        .bind(limit.limit)
        .run();
}

Result<std::vector<LimitRecord>> Records::limits() {
    std::vector<LimitRecord> limits;
    Query query = database_.query("SELECT customer, resource, most FROM limits");
    while (TRY(query.step())) limits.push_back({query.text(0), query.text(1), query.number(2)});
    return limits;
}

Result<void> Records::put_tokens(const TokenRecord& tokens) {
    return database_.query("INSERT OR REPLACE INTO model_tokens VALUES (?, ?, ?)")
        .bind(tokens.customer)
        .bind(tokens.day)
        .bind(tokens.tokens)
        .run();
}

Result<std::vector<TokenRecord>> Records::tokens() {
    std::vector<TokenRecord> tokens;
    Query query = database_.query("SELECT customer, day, tokens FROM model_tokens");
    while (TRY(query.step())) tokens.push_back({query.text(0), query.number(1), query.number(2)});
    return tokens;
}

Result<void> Records::put_model_key(const std::string& customer, const ModelKeyRecord& key) {
    const std::string sealed = TRY(seal(key.key, "model_keys.key", customer + '/' + key.provider));
    return database_.query("INSERT OR REPLACE INTO model_keys VALUES (?, ?, ?)")
        .bind(customer)
        .bind(key.provider)
        .bind(sealed)
        .run();
}

Result<bool> Records::drop_model_key(const std::string& customer, const std::string& provider) {
    Query query = database_.query("DELETE FROM model_keys WHERE customer = ? AND provider = ? RETURNING 1");
    query.bind(customer).bind(provider);
    return query.step();
}

Result<std::vector<ModelKeyRecord>> Records::model_keys(const std::string& customer) {
    std::vector<ModelKeyRecord> keys;
    Query query = database_.query("SELECT provider, key FROM model_keys WHERE customer = ? ORDER BY provider");
    query.bind(customer);
    while (TRY(query.step())) {
        const std::string provider = query.text(0);
        keys.push_back({provider, TRY(unseal(query.text(1), "model_keys.key", customer + '/' + provider))});
    }
    return keys;
}

}  // namespace hutch::daemon
