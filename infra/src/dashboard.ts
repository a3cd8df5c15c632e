/** One page for the whole way: topic, queue, function, Segment, dead letters. */
import { Duration, Stack } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  Stats,
  type IAlarm,
  type IMetric,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';

import { segmentMetric, type Watched } from './alarms.js';

const PERIOD = Duration.minutes(5);
const SUM = { statistic: Stats.SUM, period: PERIOD };
const HALF = 12;
const FULL = 24;

/** Names of dashboards are known in all regions of an account. */
export function createDashboard(scope: Construct, watched: Watched, alarms: IAlarm[]): Dashboard {
  const dashboard = new Dashboard(scope, 'Dashboard', {
    dashboardName: `${watched.names.service}-${Stack.of(scope).region}`,
    defaultInterval: Duration.hours(12),
  });
  if (alarms.length > 0) {
    dashboard.addWidgets(new AlarmStatusWidget({ title: 'Alarms', alarms, width: FULL }));
  }
  dashboard.addWidgets(topicGraph(watched), segmentGraph(watched));
  dashboard.addWidgets(...functionGraphs(watched));
  dashboard.addWidgets(...queueGraphs(watched));
  return dashboard;
}

function topicGraph({ topic }: Watched): GraphWidget {
  return graph('Topic', [
    topic.metricNumberOfMessagesPublished(SUM),
    topic.metricNumberOfNotificationsDelivered(SUM),
    topic.metricNumberOfNotificationsFailed(SUM),
    topic.metric('NumberOfNotificationsRedrivenToDlq', SUM),
  ]);
}

function segmentGraph({ hasMetrics, names, function: fn }: Watched): GraphWidget {
  if (!hasMetrics) return graph('Invocations', [fn.metricInvocations(SUM)]);
  const metrics = ['IdentifySent', 'IdentifyFailed', 'RecordsIgnored', 'RecordsInvalid'];
  return graph(
    'Segment',
    metrics.map((name) => segmentMetric(name, names)),
  );
}

function functionGraphs({ function: fn }: Watched): GraphWidget[] {
  return [
    graph('Function', [fn.metricInvocations(SUM), fn.metricErrors(SUM), fn.metricThrottles(SUM)]),
    graph(
      'Duration (ms)',
      [Stats.percentile(50), Stats.percentile(95), Stats.MAXIMUM].map((statistic) =>
        fn.metricDuration({ statistic, period: PERIOD, label: statistic }),
      ),
    ),
  ];
}

function queueGraphs({ queue, deadLetterQueues }: Watched): GraphWidget[] {
  const maximum = { statistic: Stats.MAXIMUM, period: PERIOD };
  const letters = graph(
    'Dead letters',
    deadLetterQueues.map(({ name, queue: dead }) =>
      dead.metricApproximateNumberOfMessagesVisible({ ...maximum, label: name }),
    ),
  );
  if (queue === undefined) return [letters];
  const waiting = queue.metricApproximateNumberOfMessagesVisible({ ...maximum, label: 'waiting' });
  const age = queue.metricApproximateAgeOfOldestMessage({ ...maximum, label: 'age of the oldest (s)' });
  return [letters, new GraphWidget({ title: 'Queue', left: [waiting], right: [age], width: HALF })];
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, width: HALF });
}
