# Sidekiq: `sidekiq -r on_sidekiq.rb` works, `ruby on_sidekiq.rb MODE COUNT START GAP_MS` sends. Counts as tally.py does.
require 'json'
require 'sidekiq'

PORT = Integer(ENV.fetch('BENCH_PORT'))
ADDRESS = { url: "redis://127.0.0.1:#{PORT}/0" }.freeze
Sidekiq.configure_server { |config| config.redis = ADDRESS }
Sidekiq.configure_client { |config| config.redis = ADDRESS }
Sidekiq.logger.level = Logger::WARN

def wall_ns = Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)
def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# The jobs that this process has run.
class Tally
  MAKING = Mutex.new

  def self.mine
    @mine || MAKING.synchronize { @mine ||= new }
  end

  def initialize
    @first = wall_ns
    @done = Queue.new
    @count = @sum = @squares = @last = 0
    Thread.new { write_for_ever }
  end

  def add(job) = @done << [job['number'], job['sent_ns'], wall_ns]

  private

  def write_for_ever
    redis = Redis.new(host: '127.0.0.1', port: PORT, db: 1)
    loop do
      sleep 0.05
      write(redis, Array.new(@done.size) { @done.pop })
    end
  end

  def write(redis, jobs)
    return if jobs.empty?

    jobs.each do |number, _, _|
      @count += 1
      @sum += number
      @squares += number * number
    end
    @last = [@last, jobs.map(&:last).max].max
    delays = jobs.filter_map { |_, sent, now| now - sent if sent.positive? }
    redis.rpush('delays', delays) unless delays.empty?
    redis.hset('totals', Process.pid.to_s, JSON.dump([@count, @sum, @squares, @first, @last]))
  end
end

class Job
  include Sidekiq::Worker

  def perform(job) = Tally.mine.add(job)
end

def payload(number, sent_ns = 0)
  { number: number, sent_ns: sent_ns, user: format('user-%08d', number), items: [1, 2, 3, 4, 5, 6, 7, 8], note: 'x' * 86 }
    .transform_keys(&:to_s)
end

def paced(numbers, gap_s)
  due = monotonic
  numbers.each do |number|
    Job.perform_async(payload(number, number > numbers.begin ? wall_ns : 0))
    due += gap_s
    sleep [0, due - monotonic].max
  end
end

def produce(mode, count, start, gap_ms)
  numbers = start...(start + count)
  if gap_ms.positive?
    paced(numbers, gap_ms / 1000.0)
  elsif mode == 'each'
    numbers.each { |number| Job.perform_async(payload(number)) }
  else
    numbers.each_slice(100) do |some|
      Sidekiq::Client.push_bulk('class' => Job, 'args' => some.map { |number| [payload(number)] })
    end
  end
end

if $PROGRAM_NAME == __FILE__
  mode, count, start, gap_ms = ARGV
  began = monotonic
  produce(mode, Integer(count), Integer(start), Float(gap_ms))
  puts monotonic - began
end
