// What a repository is given.

#include "daemon/registry/repository.h"
#include "daemon/wire/challenge.h"

namespace hutch::daemon {
namespace {

constexpr const char* kBytes = "Content-Type: application/octet-stream";

}  // namespace

Task<Result<bool>> Repository::has_blob(std::string digest) {
    Ask what;
    what.method = "HEAD";
    what.target = path("/blobs/" + digest);
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status == 404) co_return false;
    if (answer.head.status != 200) co_return co_await refusal("looking for blob " + digest, std::move(answer));
    co_return true;
}

Task<Result<std::string>> Repository::tag_digest(std::string tag) {
    Ask what;
    what.method = "HEAD";
    what.target = path("/manifests/" + tag);
    what.headers.emplace_back(kManifestTypes);
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status == 404) co_return std::string();
    if (answer.head.status != 200) co_return co_await refusal("looking for manifest " + tag, std::move(answer));
    co_return answer.header("docker-content-digest");
}

Task<Result<bool>> Repository::mount(std::string digest, std::string from_repository) {
    if (mounted_from_ != from_repository) {
        mounted_from_ = from_repository;
        authorization_.clear();  // the token that there is says nothing of that repository
    }
    Ask what;
    what.method = "POST";
    what.target = path("/blobs/uploads/?mount=" + digest + "&from=" + escaped_query(from_repository));
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status == 201) co_return true;
    if (answer.head.status != 202) co_return co_await refusal("mounting blob " + digest, std::move(answer));
    // It has begun an upload instead.
    const auto location = redirected(answer.url, answer.header("location"));
    if (location.ok()) {
        Ask cancel;
        cancel.method = "DELETE";
        cancel.target = location.value();
        (void)co_await ask(std::move(cancel));
    }
    co_return false;
}

Task<Result<std::string>> Repository::begin_upload() {
    Ask what;
    what.method = "POST";
    what.target = path("/blobs/uploads/");
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 202) co_return co_await refusal("beginning an upload", std::move(answer));
    auto location = redirected(answer.url, answer.header("location"));
    if (!location.ok()) co_return error(ErrorKind::kConflict, "where it wants an upload: " + location.error().message);
    co_return std::move(location);
}

Task<Result<void>> Repository::end_upload(std::string location, std::string digest, Ask what) {
    what.method = "PUT";
    what.target = location + (location.find('?') == std::string::npos ? "?" : "&") + "digest=" + digest;
    what.headers.emplace_back(kBytes);
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 201) co_return co_await refusal("uploading blob " + digest, std::move(answer));
    co_return Result<void>();
}

Task<Result<void>> Repository::upload(std::string digest, std::shared_ptr<const UniqueFd> file, int64_t bytes) {
    CO_TRY_LET(std::string location, co_await begin_upload());
    Ask what;
    what.method = "PATCH";
    what.target = location;
    what.headers.emplace_back(kBytes);
    what.file = std::move(file);
    what.file_bytes = bytes;
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 202) co_return co_await refusal("uploading blob " + digest, std::move(answer));
    const auto next = redirected(answer.url, answer.header("location"));
    if (next.ok()) location = next.value();
    Ask last;
    co_return co_await end_upload(std::move(location), std::move(digest), std::move(last));
}

Task<Result<void>> Repository::upload_text(std::string digest, std::string text) {
    CO_TRY_LET(std::string location, co_await begin_upload());
    Ask what;
    what.body = std::move(text);
    co_return co_await end_upload(std::move(location), std::move(digest), std::move(what));
}

Task<Result<void>> Repository::put_manifest(std::string media_type, std::string text, std::string tag_or_digest) {
    Ask what;
    what.method = "PUT";
    what.target = path("/manifests/" + tag_or_digest);
    what.headers.push_back("Content-Type: " + media_type);
    what.body = std::move(text);
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 201) co_return co_await refusal("putting manifest " + tag_or_digest, std::move(answer));
    co_return Result<void>();
}

}  // namespace hutch::daemon
