#include "daemon/store/records.h"

#include <sstream>

#include "base/ids.h"
#include "base/undo.h"
#include "daemon/store/schema.h"

namespace hutch::daemon {
namespace {

Result<std::optional<std::string>> meta(Database& database, const char* key) {
    Query table = database.query("SELECT 1 FROM sqlite_schema WHERE name = 'meta'");
    if (!TRY(table.step())) return std::optional<std::string>();
    Query query = database.query("SELECT value FROM meta WHERE key = ?");
    query.bind(key);
    if (!TRY(query.step())) return std::optional<std::string>();
    return std::optional(query.text(0));
}

// A key is made for a database that has nothing sealed yet, and never for one that has: what is sealed would be lost.
Result<Vault> open_vault(Database& database, const std::string& path) {
    const std::string file = path.substr(0, path.rfind('/') + 1) + "secret.key";
    const auto sealed = TRY(meta(database, "sealed"));
    auto vault = Vault::open(file);
    if (!vault.ok() && vault.error().code == ENOENT) {
        if (!sealed) return Vault::make(file);
        return Error{ErrorKind::kConflict, ENOENT,
                     file + " is missing: the secrets in " + path + " are sealed with it; restore it"};
    }
    if (vault.ok() && sealed && !vault.value().unseal(*sealed, "meta.value/sealed").ok()) {
        return Error{ErrorKind::kConflict, 0,
                     file + " is not the key that the secrets in " + path + " are sealed with; restore that one"};
    }
    return vault;
}

}  // namespace

Result<Records> Records::open(const std::string& path) {
    Database database = TRY(Database::open(path));
    const Vault vault = TRY(open_vault(database, path));
    TRY(database.define("seal", [vault](std::string_view clear, std::string_view place) {
        return vault.seal(clear, std::string(place));
    }));
    TRY(database.migrate(schema_steps()));
    Records records(std::move(database), vault);
    (void)records.database_.empty_log();  // of what the last daemon deleted; on a full disk it may stay
    records.scrub();
    // An emptied log begins with a header that SQLite syncs: here, and not on the event loop. On a full disk it is
    // later.
    (void)records.database_.query("INSERT OR REPLACE INTO meta VALUES ('opened', '')").run();
    return records;
}

void Records::scrub() {
    const auto done = meta(database_, "scrubbed");
    if (!done.ok() || done.value()) return;
    if (!database_.execute("VACUUM").ok() || !database_.empty_log().ok()) return;  // the next start tries again
    (void)database_.query("INSERT INTO meta VALUES ('scrubbed', '')").run();
}

std::string Records::join(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += item + '\n';
    return text;
}

std::string Records::join_texts(const std::vector<std::string>& texts) {
    Pairs pairs;
    for (const std::string& text : texts) pairs.emplace_back("", text);
    return join(pairs);
}

std::vector<std::string> Records::split_texts(const std::string& text) {
    std::vector<std::string> texts;
    for (auto& [nothing, item] : split_pairs(text)) texts.push_back(std::move(item));
    return texts;
}

std::vector<std::string> Records::split(const std::string& text, char separator) {
    std::vector<std::string> items;
    std::istringstream stream(text);
    for (std::string item; std::getline(stream, item, separator);) items.push_back(item);
    return items;
}

std::string Records::join(const Pairs& pairs) {
    std::string text;
    for (const auto& [name, value] : pairs) text += name + '=' + value + '\0';
    return text;
}

Pairs Records::split_pairs(const std::string& text) {
    Pairs pairs;
    for (const std::string& item : split(text, '\0')) {
        const size_t equals = item.find('=');
        pairs.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
    return pairs;
}

Result<void> Records::together(const std::function<Result<void>()>& work) {
    TRY(database_.query("BEGIN IMMEDIATE").run());
    Undo take_back([this] { (void)database_.query("ROLLBACK").run(); });  // where `work` throws, too
    TRY(work());
    TRY(database_.query("COMMIT").run());
    take_back.commit();
    return {};
}

Task<Result<void>> Records::durably(std::function<Result<void>()> work, std::function<void()> follow) {
    CO_TRY(together(work));
    follow();
    auto safe = co_await database_.synced();
    if (!safe.ok()) co_return std::move(safe).error().in("it is done, but a power cut may undo it");
    co_return safe;
}

Result<std::string> Records::store_id() {
    TRY(database_.query("INSERT OR IGNORE INTO meta VALUES ('store', ?)").bind(random_id()).run());
    Query query = database_.query("SELECT value FROM meta WHERE key = 'store'");
    if (!TRY(query.step())) return database_.error("reading the store's id");
    return query.text(0);
}

Result<void> Records::put_box(const BoxRecord& box) {
    const std::string env = TRY(seal(join(box.env), "boxes.env", box.id));
    const std::string git_token = TRY(seal(box.git_token, "boxes.git_token", box.id));
    // NULLIF: any number of boxes may have no name. An upsert and not REPLACE, which would delete the box's logs.
    return database_
        .query(
            "INSERT INTO boxes VALUES (?1, NULLIF(?2, ''), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
            "?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, "
            "?36, ?37, ?38, ?39) "
            "ON CONFLICT "
            "(id) DO "
            "UPDATE SET name "
            "= NULLIF(?2, ''), phase = ?3, "
            "layers = ?6, labels = ?8, "
            "env = ?9, address = ?11, init_pid = ?12, init_start = ?13, updated_at = ?15, last_activity_at = ?16, "
            "past_cpu_ns = ?17, init_command = ?19, past_sent_bytes = ?22, past_received_bytes = ?23, "
            "booked_cpu_ns = ?24, booked_sent_bytes = ?25, booked_received_bytes = ?26, booked_ms = ?27, "
            "disk_bytes = ?28, change = ?29, change_layer = ?30, mounted = ?31, network_mode = ?33, allowed_cidrs = "
            "?34, denied_cidrs = ?35, clone_repo = ?36, git_token = ?37, allowed_domains = ?39")
        .bind(box.id)
        .bind(box.phase == Phase::kDeleting ? "" : box.name)  // its name is free at once, its row may stay for a while
        .bind(static_cast<int64_t>(box.phase))
        .bind(int64_t{box.internal})
        .bind(box.image)
        .bind(join(box.layers))
        .bind(box.size)
        .bind(join(box.labels))
        .bind(env)
        .bind(box.uid_slot)
        .bind(int64_t{box.address})
        .bind(box.init_pid)
        .bind(box.init_start)
        .bind(box.created_at)
        .bind(box.updated_at)
        .bind(box.last_activity_at)
        .bind(box.past.cpu_ns)
        .bind(int64_t{box.keep_alive})
        .bind(box.init_command)
        .bind(box.idle_timeout)
        .bind(box.expires_at)
        .bind(box.past.sent_bytes)
        .bind(box.past.received_bytes)
        .bind(box.booked.cpu_ns)
        .bind(box.booked.sent_bytes)
        .bind(box.booked.received_bytes)
        .bind(box.booked_ms)
        .bind(box.disk_bytes)
        .bind(static_cast<int64_t>(box.change))
        .bind(box.change_layer)
        .bind(join(box.mounted))
        .bind(box.customer)
        .bind(static_cast<int64_t>(box.network.mode))
        .bind(join(box.network.allowed_cidrs))
        .bind(join(box.network.denied_cidrs))
        .bind(box.clone_repo)
        .bind(git_token)
        .bind(int64_t{box.nesting})
        .bind(join(box.network.allowed_domains))
        .run();
}

Result<void> Records::drop_box(const std::string& id) {
    return database_.query("DELETE FROM boxes WHERE id = ?").bind(id).run();
}

Result<std::vector<BoxRecord>> Records::boxes() {
    std::vector<BoxRecord> boxes;
    Query query = database_.query("SELECT * FROM boxes ORDER BY created_at, id");
    while (TRY(query.step())) {
        BoxRecord box;
        box.id = query.text(0);
        box.name = query.text(1);
        box.phase = static_cast<Phase>(query.number(2));
        box.internal = query.number(3) != 0;
        box.image = query.text(4);
        box.layers = split(query.text(5));
        box.size = query.text(6);
        box.labels = split(query.text(7));
        box.env = split_pairs(TRY(unseal(query.text(8), "boxes.env", box.id)));
        box.uid_slot = query.number(9);
        box.address = static_cast<uint32_t>(query.number(10));
        box.init_pid = query.number(11);
        box.init_start = query.number(12);
        box.created_at = query.number(13);
        box.updated_at = query.number(14);
        box.last_activity_at = query.number(15);
        box.past = {query.number(16), query.number(21), query.number(22)};
        box.keep_alive = query.number(17) != 0;
        box.init_command = query.text(18);
        box.idle_timeout = query.number_within(19, -1, kLatestMs / 1000);
        box.expires_at = query.number_within(20, 0, kLatestMs / 1000);
        box.booked = {query.number(23), query.number(24), query.number(25)};
        box.booked_ms = query.number_within(26, 0, kLatestMs);
        box.disk_bytes = query.number(27);
        box.change = static_cast<FilesChange>(query.number(28));
        box.change_layer = query.text(29);
        box.mounted = split(query.text(30));
        box.customer = query.text(31);
        box.network = {static_cast<NetworkMode>(query.number(32)), split(query.text(33)), split(query.text(34)),
                       split(query.text(38))};
        box.clone_repo = query.text(35);
        box.git_token = TRY(unseal(query.text(36), "boxes.git_token", box.id));
        box.nesting = query.number(37) != 0;
        boxes.push_back(std::move(box));
    }
    for (BoxRecord& box : boxes) {
        Query attached = database_.query("SELECT active FROM attached WHERE box = ?");
        attached.bind(box.id);
        box.attaches = TRY(attached.step()) && attached.number(0) != 0;
    }
    return boxes;
}

namespace {

// The operator's are sealed as before there were others'.
std::string row_of(const std::string& customer, const std::string& name) {
    return customer == kLocalCustomer ? name : customer + "/" + name;
}

}  // namespace

Result<void> Records::put_image(const ImageRecord& image) {
    const std::string env = TRY(seal(join(image.env), "images.env", row_of(image.customer, image.name)));
    return database_.query("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(image.customer)
        .bind(image.name)
        .bind(image.parent)
        .bind(join(image.layers))
        .bind(env)
        .bind(image.user)
        .bind(image.work_dir)
        .bind(image.size_bytes)
        .bind(image.created_at)
        .bind(join_texts(image.entrypoint))
        .bind(join_texts(image.cmd))
        .bind(join(image.labels))
        .bind(join(image.ports))
        .bind(image.source)
        .bind(image.digest)
        .run();
}

Result<void> Records::drop_image(const std::string& customer, const std::string& name) {
    return database_.query("DELETE FROM images WHERE customer = ? AND name = ?").bind(customer).bind(name).run();
}

Result<std::vector<ImageRecord>> Records::images() {
    std::vector<ImageRecord> images;
    Query query = database_.query("SELECT * FROM images ORDER BY name, customer");
    while (TRY(query.step())) {
        ImageRecord image;
        image.customer = query.text(0);
        image.name = query.text(1);
        image.parent = query.text(2);
        image.layers = split(query.text(3));
        image.env = split_pairs(TRY(unseal(query.text(4), "images.env", row_of(image.customer, image.name))));
        image.user = query.text(5);
        image.work_dir = query.text(6);
        image.size_bytes = query.number(7);
        image.created_at = query.number(8);
        image.entrypoint = split_texts(query.text(9));
        image.cmd = split_texts(query.text(10));
        image.labels = split_pairs(query.text(11));
        image.ports = split(query.text(12));
        image.source = query.text(13);
        image.digest = query.text(14);
        images.push_back(std::move(image));
    }
    return images;
}

Result<void> Records::add_log(const std::string& box, const LogRecord& log) {
    TRY(database_.query("INSERT INTO logs (box, timestamp, level, source, message) VALUES (?, ?, ?, ?, ?)")
            .bind(box)
            .bind(log.timestamp)
            .bind(log.level)
            .bind(log.source)
            .bind(log.message)
            .run());
    return database_
        .query(
            "DELETE FROM logs WHERE box = ?1 AND id <= (SELECT id FROM logs WHERE box = ?1 ORDER BY id DESC "
            "LIMIT 1 OFFSET ?2)")
        .bind(box)
        .bind(kMaxLogs)
        .run();
}

Result<std::vector<LogRecord>> Records::logs(const std::string& box, int64_t offset, int64_t limit, int64_t after) {
    std::vector<LogRecord> logs;
    Query query = database_.query(
        "SELECT timestamp, level, source, message, id FROM logs WHERE box = ? AND id > ? ORDER BY id LIMIT ? OFFSET ?");
    query.bind(box).bind(after).bind(limit).bind(offset);
    while (TRY(query.step())) {
        logs.push_back({query.number(0), query.text(1), query.text(2), query.text(3), query.number(4)});
    }
    return logs;
}

}  // namespace hutch::daemon
