#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/async.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hutch::daemon {

/// One prepared statement, to be bound, stepped through and read. Resets itself at the end of the scope.
class Query {
  public:
    explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
    Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    Query& operator=(Query&&) = delete;
    ~Query();

    Query& bind(std::string_view text);
    Query& bind(int64_t number);
    Query& bind(std::optional<int64_t> number);  ///< NULL for nothing
    /// True while there is a row to read.
    Result<bool> step();
    /// For statements that answer no rows.
    Result<void> run();

    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] int64_t number(int column) const;
    /// As near as it may be: times that nobody checked are added to the clock.
    [[nodiscard]] int64_t number_within(int column, int64_t least, int64_t most) const;
    [[nodiscard]] std::optional<int64_t> number_if_any(int column) const;  ///< nothing for NULL

  private:
    sqlite3_stmt* statement_;
    int next_ = 1;
};

/// The daemon's SQLite file: write-ahead log, one connection, event loop thread only. A committed row survives a kill
/// of the daemon; after a power cut those since the last synced() may be missing (synchronous=NORMAL), which recovery
/// repairs. The disk is waited for on a thread of its own: it syncs the log, and copies it back into the database
/// (sqlite.org/wal.html, "Checkpointing"), by a second connection.
class Database {
  public:
    static Result<Database> open(const std::string& path);
    /// Prepared once per text (a literal), then kept.
    Query query(const char* sql);
    Result<void> execute(const char* sql);
    /// Brings the schema up to date: those of `steps` (a step is any number of statements) that this file has not seen
    /// yet, each in a transaction of its own. Steps are only ever appended: how many were done is PRAGMA user_version.
    /// kConflict for a file that a newer daemon has taken further.
    Result<void> migrate(std::span<const char* const> steps);
    [[nodiscard]] Error error(std::string_view what) const;
    /// Until not even a power cut undoes what is committed now. An error says that it may: the rows are there all the
    /// same.
    Task<Result<void>> synced();
    /// The same, with the caller's thread waiting; for the start.
    Result<void> sync();
    /// Waits until that thread has done what was begun, and ends it. What is committed then is checkpointed by who
    /// comes last, or by the next start; synced() is not for then.
    void join();

    using TextFunction = std::function<Result<std::string>(std::string_view, std::string_view)>;
    /// Gives SQL a function of two texts, which is then known by that name for as long as this is.
    Result<void> define(const char* name, TextFunction function);
    /// Brings the log into the file and empties it. What was deleted is in neither then: the file's own bytes of it are
    /// overwritten as they are freed (PRAGMA secure_delete). For the start, before anything else is under way.
    Result<void> empty_log();

  private:
    struct State;
    static int after_commit(void* its_state, sqlite3* db, const char* name, int pages);
    struct Close {
        void operator()(State* state) const;
    };
    std::unique_ptr<State, Close> state_;
};

}  // namespace hutch::daemon
