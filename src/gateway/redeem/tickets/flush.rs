//! Writing what was sent by tickets: every few seconds, at once where it ends a download, and each byte once.

use crate::catalog::CatalogError;
use crate::catalog::redemptions::{SENT_ADDED_MAX, SentBatch};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
use crate::gateway::tenants::random;
use crate::model::base62;
use crate::model::redemption::RedemptionId;

/// Numbers the batches that this gateway adds.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Its name in the catalogue, once it has drawn one.
    name: Option<String>,
    /// The number of the last batch.
    number: u64,
    /// The batch of which nobody knows whether the catalogue has it: its answer was lost, or nobody waited for it.
    unsettled: Option<SentBatch>,
}

impl Gateway {
    /// Answers once bytes were sent that end a counted download, which is to be written at once.
    pub async fn sent_is_due(&self) {
        self.tickets.is_due.notified().await;
    }

    /// Puts into the catalogue what was sent of counted downloads. What it does not take is kept for the next time, and
    /// counts once. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The refusal of the catalogue; `Internal` where some downloads are damaged: all others are written then.
    pub async fn flush_sent(&self) -> Result<usize, Refusal> {
        let mut writer = self.tickets.writer.lock().await;
        let (mut done, mut damaged) = (0, Vec::new());
        if writer.unsettled.is_some() {
            done += self.write_batch(&mut writer, &mut damaged).await?;
        }
        let all = self.tickets.unwritten(self.clock.elapsed());
        for some in all.chunks(SENT_ADDED_MAX) {
            let name = match writer.name.take() {
                Some(name) => name,
                None => base62::drawn(random()?),
            };
            writer.name = Some(name.clone());
            writer.number += 1;
            writer.unsettled = Some(SentBatch {
                writer: name,
                number: writer.number,
                now: self.clock.now(),
                sent: some.to_vec(),
            });
            self.tickets.begin_write(some);
            done += self.write_batch(&mut writer, &mut damaged).await?;
        }
        match damaged.first() {
            None => Ok(done),
            Some(first) => Err(Refusal::Internal(format!(
                "{} counted downloads are damaged, the first of them {first}: `hallpass doctor --mend` counts them anew",
                damaged.len()
            ))),
        }
    }

    /// Writes the unsettled batch, and answers how many records were taken.
    async fn write_batch(
        &self,
        writer: &mut Writer,
        damaged: &mut Vec<RedemptionId>,
    ) -> Result<usize, Refusal> {
        let Some(batch) = &writer.unsettled else {
            return Ok(0);
        };
        let answer = match self.catalog.add_redeemed(batch).await {
            // Whether it was taken is asked the next time, by its number.
            Err(error @ CatalogError::Unavailable { .. }) => return Err(self.refusal(error)),
            answer => answer,
        };
        let Some(batch) = writer.unsettled.take() else {
            return Ok(0);
        };
        match answer {
            Ok(left_out) => {
                let is_taken = |rid| !left_out.contains(&rid);
                self.tickets.end_write(&batch.sent, is_taken);
                let taken = batch.sent.len() - left_out.len();
                damaged.extend(left_out);
                Ok(taken)
            }
            Err(error) => {
                self.tickets.end_write(&batch.sent, |_| false);
                Err(self.refusal(error))
            }
        }
    }
}
