#include "apps/diffuse_batch/result_sink.hpp"

#include "core/pipeline/job_codec.hpp"

namespace diffuse {

void ResultSink::finished(const RenderResult& result, const RenderJob& /*job*/) {
  results_.push_back(result);
  tell_(result);
}

std::string ResultSink::packed() const { return pack_results(results_); }

}  // namespace diffuse
