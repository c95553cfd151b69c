#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

// Neither a pattern nor a name of a header has a space in it.
Pairs flat(const HeaderRules& rules) {
    Pairs pairs;
    for (const auto& [pattern, headers] : rules) {
        for (const auto& [name, value] : headers) pairs.emplace_back(pattern + ' ' + name, value);
    }
    return pairs;
}

HeaderRules rules_of(const Pairs& pairs) {
    HeaderRules rules;
    for (const auto& [key, value] : pairs) {
        const size_t space = std::min(key.find(' '), key.size());
        rules[key.substr(0, space)].emplace_back(key.substr(std::min(space + 1, key.size())), value);
    }
    return rules;
}

}  // namespace

Result<void> Records::put_attached(const AttachedRecord& attached) {
    const std::string headers = TRY(seal(join(flat(attached.headers)), "attached.headers", attached.box));
    const std::string key = TRY(seal(attached.key, "attached.key", attached.box));
    return database_.query("INSERT OR REPLACE INTO attached VALUES (?, ?, ?, ?, ?)")
        .bind(attached.box)
        .bind(headers)
        .bind(key)
        .bind(attached.certificate)
        .bind(int64_t{attached.active})
        .run();
}

Result<std::optional<AttachedRecord>> Records::attached(const std::string& box) {
    Query query = database_.query("SELECT headers, key, certificate, active FROM attached WHERE box = ?");
    query.bind(box);
    if (!TRY(query.step())) return std::optional<AttachedRecord>();
    const Pairs headers = split_pairs(TRY(unseal(query.text(0), "attached.headers", box)));
    return std::optional(AttachedRecord{.box = box,
                                        .headers = rules_of(headers),
                                        .key = TRY(unseal(query.text(1), "attached.key", box)),
                                        .certificate = query.text(2),
                                        .active = query.number(3) != 0});
}

Result<std::vector<AttachedRecord>> Records::all_attached() {
    std::vector<std::string> boxes;
    {
        Query query = database_.query("SELECT box FROM attached");
        while (TRY(query.step())) boxes.push_back(query.text(0));
    }
    std::vector<AttachedRecord> all;
    for (const std::string& box : boxes) {
        auto one = TRY(attached(box));
        if (one) all.push_back(*std::move(one));
    }
    return all;
}

Result<HeaderRules> Records::headers_of(const std::string& customer) {
    Query query = database_.query("SELECT headers FROM customer_headers WHERE customer = ?");
    query.bind(customer);
    if (!TRY(query.step())) return HeaderRules();
    return rules_of(split_pairs(TRY(unseal(query.text(0), "customer_headers.headers", customer))));
}

Result<void> Records::put_headers(const std::string& customer, const HeaderRules& headers) {
    const std::string sealed = TRY(seal(join(flat(headers)), "customer_headers.headers", customer));
    return database_.query("INSERT OR REPLACE INTO customer_headers VALUES (?, ?)").bind(customer).bind(sealed).run();
}

}  // namespace hutch::daemon
