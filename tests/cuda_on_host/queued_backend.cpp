#include "tests/cuda_on_host/queued_backend.hpp"

#include <utility>
#include <vector>

#include "kernels/make_backend.hpp"
#include "tests/cuda_on_host/fake_runtime.hpp"

namespace diffuse::test {

QueuedBackend::QueuedBackend()
    : QueuedBackend(std::shared_ptr(
          make_backend("cpu", {.threads = 1, .force_isa = {}, .device_index = 0}))) {}

QueuedBackend::QueuedBackend(std::shared_ptr<Backend> cpu)
    : cpu_(std::move(cpu)),
      stream_(std::make_shared<cuda::DeviceStream>(0)),
      staging_(*stream_),
      reads_(*stream_),
      graphs_(*stream_) {}

QueuedBackend::~QueuedBackend() { stream_->wait(); }

std::shared_ptr<void> QueuedBackend::allocate(std::size_t bytes) {
  return stream_->allocate(bytes);
}

void QueuedBackend::write(std::span<const std::byte> host, const Tensor& to) {
  staging_.write(host.data(), to.data<void>(), host.size());
}

void QueuedBackend::read(const Tensor& from, std::span<std::byte> host) {
  staging_.read(from.data<void>(), host.data(), host.size());
}

std::unique_ptr<PendingRead> QueuedBackend::begin_read(const Tensor& from) {
  return reads_.begin(from.data<void>(), from.bytes());
}

Weight QueuedBackend::prepare(std::span<const StoredWeight> parts, const WeightUse& use) {
  return cpu_->prepare(parts, use);
}

void QueuedBackend::execute(const Op& op) {
  std::vector<Storage*> storages;
  std::vector<std::byte*> given;
  for_each_tensor(op, [&](const Tensor& tensor, Access) {
    storages.push_back(tensor.storage().get());
    given.push_back(tensor.storage()->data);
  });
  fake_cuda::enqueue(stream_->get(), [op, storages, given, cpu = cpu_] {
    std::vector<std::byte*> now;
    now.reserve(storages.size());
    for (const Storage* storage : storages) now.push_back(storage->data);
    for (std::size_t i = 0; i < storages.size(); ++i) storages[i]->data = given[i];
    cpu->execute(op);
    for (std::size_t i = 0; i < storages.size(); ++i) storages[i]->data = now[i];
  });
}

bool QueuedBackend::replay(std::unique_ptr<Replay>& kept, const std::function<bool()>& body) {
  return graphs_.run(kept, body);
}

void QueuedBackend::wait() { stream_->wait(); }

std::unique_ptr<Backend> QueuedBackend::beside() {
  return std::unique_ptr<Backend>(new QueuedBackend(cpu_));
}

}  // namespace diffuse::test
