#include "daemon/store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <unordered_map>

#include "base/file.h"
#include "daemon/workers.h"

namespace hutch::daemon {

struct Database::State {
    std::string path;
    sqlite3* db = nullptr;
    std::unordered_map<const char*, sqlite3_stmt*> prepared;
    std::list<TextFunction> functions;
    UniqueFd log;  ///< to be synced: what is committed is in there, or checkpointed, which syncs both
    sqlite3* checkpointer = nullptr;  ///< the thread's
    std::atomic<bool> checkpointing = false;
    bool joined = false;  ///< the thread takes nothing any more
    Workers thread{1};
};

void Database::Close::operator()(State* state) const {
    state->thread.join();
    sqlite3_close(state->checkpointer);
    for (const auto& [sql, statement] : state->prepared) sqlite3_finalize(statement);
    sqlite3_close(state->db);
    delete state;
}

namespace {

Error error_of(sqlite3* db, std::string_view what) {
    Error error{ErrorKind::kSystem, EIO, std::string(what) + ": " + sqlite3_errmsg(db)};
    if (sqlite3_errcode(db) == SQLITE_FULL) error.code = ENOSPC;
    if (sqlite3_extended_errcode(db) == SQLITE_CONSTRAINT_UNIQUE) error.code = EEXIST;
    return error;
}

// It holds secrets; SQLite gives its other files the mode of this one. Before SQLite opens it: closing any descriptor
// of a file takes the locks that the process has on it (fcntl_locking(2)).
Result<void> close_to_others(const std::string& path) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_RDWR | O_CREAT, 0600));
    if (fchmod(file.get(), 0600) != 0) return errno_error("closing " + path + " to others");
    return {};
}

Result<void> connect(const std::string& path, sqlite3*& db) {
    constexpr int kHow = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path.c_str(), &db, kHow, nullptr) != SQLITE_OK) return error_of(db, "opening " + path);
    sqlite3_extended_result_codes(db, 1);
    return {};
}

Result<void> run(sqlite3* db, const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return error_of(db, "state database");
    return {};
}

std::string_view text_of(sqlite3_value* value) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
    return text == nullptr ? std::string_view()
                           : std::string_view(text, static_cast<size_t>(sqlite3_value_bytes(value)));
}

void call_function(sqlite3_context* context, int, sqlite3_value** arguments) {
    const auto& function = *static_cast<Database::TextFunction*>(sqlite3_user_data(context));
    const auto result = function(text_of(arguments[0]), text_of(arguments[1]));
    if (!result.ok()) return sqlite3_result_error(context, result.error().message.c_str(), -1);
    sqlite3_result_text(context, result.value().data(), static_cast<int>(result.value().size()), SQLITE_TRANSIENT);
}

}  // namespace

// After each commit, with the log's length. In place of SQLite's own, which would checkpoint here and now.
int Database::after_commit(void* its_state, sqlite3*, const char*, int pages) {
    constexpr int kManyPages = 1000;  // SQLite's default
    constexpr int kMostPages = 64 * kManyPages;
    auto* const state = static_cast<State*>(its_state);
    if (pages > kMostPages) {  // commits come in so fast that no checkpoint sees the log's end: this one waits for it
        state->checkpointing.wait(true);
        sqlite3_wal_checkpoint_v2(state->db, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
        return SQLITE_OK;
    }
    if (pages < kManyPages || state->joined || state->checkpointing.exchange(true)) return SQLITE_OK;
    state->thread.run_behind([state] {
        // As far as it goes: what a reader still needs stays, and is copied another time.
        sqlite3_wal_checkpoint_v2(state->checkpointer, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
        state->checkpointing = false;
        state->checkpointing.notify_all();
    });
    return SQLITE_OK;
}

Query::~Query() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

Query& Query::bind(std::string_view text) {
    sqlite3_bind_text(statement_, next_++, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
}

Query& Query::bind(int64_t number) {
    sqlite3_bind_int64(statement_, next_++, number);
    return *this;
}

Query& Query::bind(std::optional<int64_t> number) {
    if (number) return bind(*number);
    sqlite3_bind_null(statement_, next_++);
    return *this;
}

Result<bool> Query::step() {
    if (statement_ == nullptr) return Error{ErrorKind::kSystem, EINVAL, "state database: bad statement"};
    switch (sqlite3_step(statement_)) {
        case SQLITE_ROW:
            return true;
        case SQLITE_DONE:
            return false;
        default:
            return error_of(sqlite3_db_handle(statement_), "state database");
    }
}

Result<void> Query::run() {
    TRY(step());
    return {};
}

std::string Query::text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return data == nullptr ? std::string()
                           : std::string(data, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

int64_t Query::number(int column) const {
    return sqlite3_column_int64(statement_, column);
}

int64_t Query::number_within(int column, int64_t least, int64_t most) const {
    return std::clamp(number(column), least, most);
}

std::optional<int64_t> Query::number_if_any(int column) const {
    if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
    return number(column);
}

Result<Database> Database::open(const std::string& path) {
    Database database;
    database.state_.reset(new State);
    State& state = *database.state_;
    state.path = path;
    TRY(close_to_others(path));
    TRY(connect(path, state.db));
    TRY_IN("opening " + path, run(state.db,
                                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
                                  "PRAGMA cache_size=-1024; PRAGMA secure_delete=ON; SELECT * FROM sqlite_master;"));
    state.log = TRY(open_at(AT_FDCWD, path + "-wal", O_RDONLY));
    TRY(connect(path, state.checkpointer));
    // It opens its files now, not when there is no descriptor left.
    TRY_IN("opening " + path, run(state.checkpointer, "PRAGMA synchronous=NORMAL; SELECT * FROM sqlite_master;"));
    sqlite3_wal_hook(state.db, after_commit, &state);
    return database;
}

Error Database::error(std::string_view what) const {
    return error_of(state_->db, what);
}

Result<void> Database::sync() {
    if (fdatasync(state_->log.get()) != 0) return errno_error("syncing the log of " + state_->path);
    return {};
}

Task<Result<void>> Database::synced() {
    co_return co_await state_->thread.run([this] { return sync(); });
}

void Database::join() {
    state_->thread.join();
    state_->joined = true;
}

Query Database::query(const char* sql) {
    sqlite3_stmt*& statement = state_->prepared[sql];
    if (statement == nullptr) sqlite3_prepare_v3(state_->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    return Query(statement);
}

Result<void> Database::execute(const char* sql) {
    return run(state_->db, sql);
}

Result<void> Database::define(const char* name, TextFunction function) {
    TextFunction& kept = state_->functions.emplace_back(std::move(function));
    constexpr int kFlags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    if (sqlite3_create_function_v2(state_->db, name, 2, kFlags, &kept, call_function, nullptr, nullptr, nullptr) !=
        SQLITE_OK) {
        return error(std::string("defining ") + name);
    }
    return {};
}

Result<void> Database::empty_log() {
    state_->checkpointing.wait(true);
    if (sqlite3_wal_checkpoint_v2(state_->db, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) != SQLITE_OK) {
        return error("emptying the log of " + state_->path);
    }
    return {};
}

Result<void> Database::migrate(std::span<const char* const> steps) {
    int64_t done = 0;
    {
        Query version = query("PRAGMA user_version");
        TRY(version.step());
        done = version.number(0);
    }
    if (done > static_cast<int64_t>(steps.size())) {
        return Error{ErrorKind::kConflict, 0,
                     "the state database was written by a newer hutchd (schema " + std::to_string(done) +
                         ", this one knows " + std::to_string(steps.size()) + "); start that one"};
    }
    // A step that makes a table anew drops the old one, and must not take with it what refers to its rows; within a
    // transaction it could not say so itself (sqlite.org/lang_altertable.html, 7).
    TRY(execute("PRAGMA foreign_keys=OFF"));
    for (size_t i = static_cast<size_t>(done); i < steps.size(); ++i) {
        const std::string number = std::to_string(i + 1);
        auto stepped =
            execute(("BEGIN;" + std::string(steps[i]) + "PRAGMA user_version = " + number + "; COMMIT;").c_str());
        if (stepped.ok()) continue;
        (void)execute("ROLLBACK");
        return std::move(stepped).error().in("schema step " + number);
    }
    return execute("PRAGMA foreign_keys=ON");
}

}  // namespace hutch::daemon
